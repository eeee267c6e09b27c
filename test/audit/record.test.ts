import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import test from 'node:test'
import { checkPayload } from '../../src/audit/commit.ts'
import { createRecorder } from '../../src/audit/record.ts'
import { act, recorder, refused } from './samples.ts'

test('an entry is written as canonical JSON', () => {
  const text = Buffer.from(recorder.encode(act({ detail: { b: 1, a: [true, null] } }))).toString()
  assert.match(text, /^\{"act":"task.open","at":"[^"]+","broker":/)
  assert.match(text, /"detail":\{"a":\[true,null\],"b":1\}/)
})

test('an entry of 65,535 bytes is written, one byte more is refused and nothing is cut', () => {
  const room = 65_535 - recorder.encode(act({ detail: { x: '' } })).length
  assert.equal(recorder.encode(act({ detail: { x: 'a'.repeat(room) } })).length, 65_535)
  assert.throws(() => recorder.encode(act({ detail: { x: 'a'.repeat(room + 1) } })), /65535/)
})

test('an entry that verification would not accept is not written', () => {
  assert.throws(
    () => recorder.encode({ ...refused(), secret: 'x' } as never),
    /secret: expected no such field/,
  )
  assert.throws(() => recorder.encode(refused({ at: 'yesterday' })), /at: expected RFC 3339/)
})

test('a commitment is SHA-256 over salt and canonical bytes', () => {
  const payload = recorder.commit('arguments', { b: 1, a: 'x' })
  assert.equal(Buffer.from(payload.bytes).toString(), '{"a":"x","b":1}')
  assert.equal(payload.salt.length, 32)
  const digest = createHash('sha256').update(payload.salt).update(payload.bytes).digest('hex')
  assert.equal(payload.commitment, `sha256:${digest}`)
  assert.ok(checkPayload(payload.commitment, payload.salt, payload.bytes))
})

test('equal payloads have different commitments: the log does not tell that two calls were alike', () => {
  assert.notEqual(
    recorder.commit('result', { a: 1 }).commitment,
    recorder.commit('result', { a: 1 }).commitment,
  )
})

test('a commitment does not cover other bytes, another salt, or a border that was moved', () => {
  const { commitment, salt, bytes } = recorder.commit('arguments', { to: 'owner' })
  assert.equal(checkPayload(commitment, salt, Buffer.from('{"to":"other"}')), false)
  assert.equal(checkPayload(commitment, new Uint8Array(32), bytes), false)
  const all = Buffer.concat([salt, bytes])
  assert.equal(checkPayload(commitment, all.subarray(0, 31), all.subarray(31)), false)
})

test('equal calls have equal fingerprints, whatever the order of their arguments', () => {
  assert.equal(recorder.fingerprint('a/b', { x: 1, y: 2 }), recorder.fingerprint('a/b', { y: 2, x: 1 }))
})

test('another tool, other arguments or another key give another fingerprint', () => {
  const other = createRecorder({ fingerprintKey: new Uint8Array(32).fill(8) })
  const all = [
    recorder.fingerprint('a/b', { x: 1 }),
    recorder.fingerprint('a/c', { x: 1 }),
    recorder.fingerprint('a/b', { x: '1' }),
    other.fingerprint('a/b', { x: 1 }),
  ]
  assert.equal(new Set(all).size, all.length)
})

test('a short fingerprint key is refused', () =>
  assert.throws(() => createRecorder({ fingerprintKey: new Uint8Array(16) }), /32/))

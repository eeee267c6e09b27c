import assert from 'node:assert/strict'
import { createPrivateKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import test from 'node:test'
import { openCheckpoint, signCheckpoint } from '../../src/audit/checkpoint.ts'
import {
  createSigner,
  isSignedBy,
  loadSigningKey,
  newSigningKey,
  parseNote,
  parseVkey,
  signNote,
} from '../../src/audit/note.ts'

const vector: { [name in 'seed' | 'name' | 'vkey' | 'witness' | 'checkpoint' | 'witnessed']: string } =
  JSON.parse(readFileSync(new URL('../vectors/note.json', import.meta.url), 'utf8'))
/** PKCS #8 around the seed (RFC 8410 section 7). */
const key = createPrivateKey({
  key: Buffer.concat([
    Buffer.from('302e020100300506032b657004220420', 'hex'),
    Buffer.from(vector.seed, 'base64'),
  ]),
  format: 'der',
  type: 'pkcs8',
})
const signer = createSigner(vector.name, key)
const vkey = parseVkey(vector.vkey) ?? assert.fail()

test('key id and verifier key are those of another implementation', () =>
  assert.equal(signer.vkey, vector.vkey))

test('a checkpoint is signed to the same bytes as by another implementation', () => {
  const opened = openCheckpoint(vector.checkpoint, vkey)
  assert.ok(opened.ok)
  assert.equal(opened.checkpoint.size, 300)
  assert.equal(signCheckpoint(opened.checkpoint, signer), vector.checkpoint)
})

test('a witness that is not known is carried along and not judged', () => {
  assert.equal(openCheckpoint(vector.witnessed, vkey).ok, true)
  const witness = parseVkey(vector.witness) ?? assert.fail()
  assert.ok(isSignedBy(parseNote(vector.witnessed) ?? assert.fail(), witness))
})

test('no byte of a signed checkpoint can be changed', () => {
  const bytes = Buffer.from(vector.checkpoint)
  for (let at = 0; at < bytes.length; at++) {
    for (const mask of [1, 4, 32, 128]) {
      const changed = Buffer.from(bytes)
      changed[at] = (changed[at] ?? 0) ^ mask
      assert.equal(openCheckpoint(changed.toString(), vkey).ok, false, `byte ${at} by ${mask}`)
    }
  }
})

test('a checkpoint of another log does not pass for this one, even under the same key', () => {
  const other = createSigner('other.example/log', key)
  const text = signCheckpoint({ origin: 'other.example/log', size: 1, root: new Uint8Array(32) }, other)
  assert.deepEqual(openCheckpoint(text, vkey), { ok: false, problem: 'other-origin' })
})

test('a checkpoint under another key of the same name is not signed', () => {
  const other = createSigner(vector.name, loadSigningKey(newSigningKey()))
  const text = signCheckpoint({ origin: vector.name, size: 1, root: new Uint8Array(32) }, other)
  assert.deepEqual(openCheckpoint(text, vkey), { ok: false, problem: 'not-signed' })
})

test('a second signature of the key that does not verify refuses the note', () => {
  const line = vector.checkpoint.split('\n').at(-2) ?? ''
  const forged = line.replace(/.{8}AA=$/, 'AAAAAAAAAA=')
  assert.equal(openCheckpoint(`${vector.checkpoint}${forged}\n`, null).ok, true, 'the form is right')
  assert.equal(openCheckpoint(`${vector.checkpoint}${forged}\n`, vkey).ok, false)
})

const bodies = {
  'a size with a leading zero': 'o\n01\nROOT\n',
  'a size beyond 2^53-1': 'o\n9007199254740993\nROOT\n',
  'a negative size': 'o\n-1\nROOT\n',
  'a root of 31 bytes': `o\n1\n${Buffer.alloc(31).toString('base64')}\n`,
  'no origin': '\n1\nROOT\n',
  'no root': 'o\n1\n',
}
for (const [what, body] of Object.entries(bodies)) {
  test(`${what} makes no checkpoint`, () => {
    const text = signNote(body.replace('ROOT', Buffer.alloc(32).toString('base64')), [signer])
    assert.deepEqual(openCheckpoint(text, null), { ok: false, problem: 'malformed' })
  })
}

test('extension lines are allowed and signed', () => {
  const text = signNote(`${vector.name}\n1\n${Buffer.alloc(32).toString('base64')}\nextension\n`, [signer])
  assert.equal(openCheckpoint(text, vkey).ok, true)
})

test('a verifier key whose id does not fit its key is none', () => {
  assert.equal(parseVkey(vector.vkey.replace('9a25c478', '9a25c479')), null)
  for (const text of ['', 'a+b+c', vector.vkey.replace('+ARl', '+BRl'), ` ${vector.vkey}`])
    assert.equal(parseVkey(text), null)
})

test('control characters and missing newlines are not signed', () => {
  for (const text of ['a', 'a\r\n', 'a\u0000\n', '\ud800\n'])
    assert.throws(() => signNote(text, [signer]), TypeError)
})

test('names that could be mistaken for syntax make no signer', () => {
  for (const name of ['', 'a b', 'a+b', 'a\n', 'a\u00a0b'])
    assert.throws(() => createSigner(name, key), TypeError)
})

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import {
  createSealer,
  digestOf,
  openState,
  sealState,
  type Bearings,
  type RequestState,
} from '../../src/door/state.ts'

const sealer = createSealer(new Uint8Array(32).fill(1))
const bearings: Bearings = { subject: 'alpha', task: 't_1', request: digestOf({ amount: 5 }) }
const state: RequestState = { kind: 'approval', call: 'c_1', chain: 'c_1', leg: 1, input: null }
const sealed = sealState(sealer, state, { ...bearings, expiresAt: 1_000 })

const problemOf = (text: string, as: Bearings, now = 0) => {
  const opened = openState(sealer, text, as, now)
  return opened.ok ? null : opened.problem
}

describe('a request state', () => {
  test('comes back as it was sealed, to the same bearer for the same request', () => {
    assert.deepEqual(openState(sealer, sealed, bearings, 999), { ok: true, state })
    const input: RequestState = {
      kind: 'input',
      chain: 'c_1',
      upstream: 'theirs',
      ask: null,
      asked: { q: 'elicitation/create' },
      round: 2,
      next: 'c_2',
    }
    assert.deepEqual(
      openState(sealer, sealState(sealer, input, { ...bearings, expiresAt: 1_000 }), bearings, 0),
      { ok: true, state: input },
    )
  })

  test('for one amount does not cover another', () => {
    assert.match(
      problemOf(sealed, { ...bearings, request: digestOf({ amount: 500 }) }) ?? '',
      /arguments differ/,
    )
  })

  test('of one agent or task is nothing in the hands of another', () => {
    assert.match(problemOf(sealed, { ...bearings, subject: 'beta' }) ?? '', /another identity or task/)
    assert.match(problemOf(sealed, { ...bearings, task: 't_2' }) ?? '', /another identity or task/)
  })

  test('expires', () => assert.match(problemOf(sealed, bearings, 1_000) ?? '', /expired/))

  test('sealed with another key, or for another purpose, is not ours', () => {
    const other = createSealer(new Uint8Array(32).fill(2))
    assert.match(
      problemOf(sealState(other, state, { ...bearings, expiresAt: 1_000 }), bearings) ?? '',
      /not made by this broker/,
    )
    assert.match(
      problemOf(sealer.seal('cursor', { state: {}, bound: {} }), bearings) ?? '',
      /not made by this broker/,
    )
  })

  test('with any character changed, added or taken away is refused (property)', () => {
    fc.assert(
      fc.property(fc.nat(sealed.length - 1), fc.constantFrom('A', 'b', '-', '=', '.', ''), (at, by) => {
        const changed = sealed.slice(0, at) + by + sealed.slice(at + 1)
        fc.pre(changed !== sealed)
        assert.notEqual(problemOf(changed, bearings), null)
      }),
    )
  })

  test('that is any other text is refused and never throws (property)', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.base64String().map((text) => `v1.${text}`),
        ),
        (text) => assert.notEqual(problemOf(text, bearings), null),
      ),
    )
  })

  test('shows nothing of what it holds, and the same state never looks the same', () => {
    assert.doesNotMatch(Buffer.from(sealed.slice(3), 'base64url').toString('latin1'), /c_1|alpha/)
    assert.notEqual(sealed, sealState(sealer, state, { ...bearings, expiresAt: 1_000 }))
  })

  test('a key of the wrong length is refused at the start', () =>
    assert.throws(() => createSealer(new Uint8Array(16)), /32 bytes/))
})

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createRecorder } from '../../src/audit/record.ts'
import { observedCalls } from '../../src/compose/observed.ts'
import type { Entry, IntentEntry, Payload, RefusedEntry } from '../../src/audit/entry.ts'
import type { JsonObject } from '../../src/lib/json.ts'
import type { StoredEntry } from '../../src/store/ports.ts'

const recorder = createRecorder({ fingerprintKey: new Uint8Array(32) })

const common = { v: 1, at: '2026-03-02T10:00:00.000Z', broker: 'b_1' } as const
const who = {
  kind: 'agent',
  name: 'coder',
  onBehalfOf: 'owner',
  proven: 'task-token',
  issuer: 'http://x',
} as const
const what = { tool: 'files/write', digest: 'sha256:x', effects: ['write'], operation: 'call' } as const

/** A log in memory: entries with the arguments beside them, unless they were erased. */
function logOf(
  ...given: readonly { readonly entry: (commitment: string) => Entry; readonly args?: JsonObject }[]
) {
  const payloads = new Map<string, Payload>()
  const entries = given.map(({ entry, args }, index): StoredEntry => {
    const payload = recorder.commit('arguments', args ?? { erased: true })
    if (args !== undefined) payloads.set(payload.commitment, payload)
    return { index, leaf: new Uint8Array(32), bytes: Buffer.from(JSON.stringify(entry(payload.commitment))) }
  })
  return {
    recent: async ({ limit, before = Infinity }: { readonly limit: number; readonly before?: number }) =>
      entries
        .filter(({ index }) => index < before)
        .toReversed()
        .slice(0, limit),
    payload: async (commitment: string) => payloads.get(commitment) ?? null,
  }
}

const intent =
  (more: Partial<IntentEntry> = {}) =>
  (commitment: string): IntentEntry => ({
    ...common,
    kind: 'intent',
    call: 'c_1',
    chain: 'c_1',
    who,
    task: 't_1',
    what,
    arguments: commitment,
    policy: 'sha256:p',
    policies: [],
    labels: { confidentiality: 'public', integrity: 'trusted', sources: [] },
    approval: null,
    ...more,
  })

const refused =
  (code: string) =>
  (commitment: string): RefusedEntry => ({
    ...common,
    kind: 'refused',
    call: 'c_2',
    stage: 'decide',
    code,
    reason: 'x',
    who,
    task: 't_1',
    what,
    wanted: null,
    arguments: commitment,
    policy: null,
    policies: [],
    ask: null,
    count: 1,
  })

const approval = {
  ask: 'a_1',
  digest: 'sha256:a',
  answers: [],
  requirement: { count: 1, independent: false, proof: 'terminal' },
} as const

describe('what a suggestion is made from', () => {
  test('calls that were made, with or without a person, and those that were denied; oldest first', async () => {
    const observed = await observedCalls(
      logOf(
        { entry: intent(), args: { path: '/a' } },
        { entry: intent({ approval }), args: { path: '/b' } },
        { entry: refused('denied'), args: { path: '/c' } },
        { entry: refused('approval-refused'), args: { path: '/d' } },
      ),
    )
    assert.deepEqual(
      observed.map(({ decision, arguments: args }) => [decision, args['path']]),
      [
        ['allow', '/a'],
        ['ask', '/b'],
        ['deny', '/c'],
        ['deny', '/d'],
      ],
    )
    assert.deepEqual(observed[0], {
      tool: 'files/write',
      effects: ['write'],
      arguments: { path: '/a' },
      agent: 'coder',
      task: 't_1',
      at: Date.parse('2026-03-02T10:00:00.000Z'),
      decision: 'allow',
    })
  })

  test('not a call whose arguments were erased, nor one that nobody answered, nor a later leg, nor a fault', async () => {
    const observed = await observedCalls(
      logOf(
        { entry: intent() },
        { entry: refused('approval-required'), args: {} },
        { entry: refused('fault'), args: {} },
        { entry: intent({ call: 'c_9' }), args: {} },
      ),
    )
    assert.deepEqual(observed, [])
  })

  test('the newest 5,000 entries and no more', async () => {
    const many = Array.from({ length: 6000 }, (_, i) => ({ entry: intent(), args: { i } }))
    const observed = await observedCalls(logOf(...many))
    assert.equal(observed.length, 5000)
    assert.deepEqual([observed[0]?.arguments, observed.at(-1)?.arguments], [{ i: 1000 }, { i: 5999 }])
  })
})

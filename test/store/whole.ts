import assert from 'node:assert/strict'
import type { Store, StoredEntry } from '../../src/store/ports.ts'

/** Everything that must hold of the calls of task `t_1`, the only one, however they came to be in the store. */
export async function demandWhole(store: Store): Promise<void> {
  const size = await store.log.size()
  const all: StoredEntry[] = []
  while (all.length < size) all.push(...(await store.log.read(all.length, 1024)))
  assert.deepEqual(
    all.map(({ index }) => index),
    Array.from({ length: size }, (_, n) => n),
  )
  const snapshot = await store.tasks.snapshot('t_1', 0)
  assert.ok(snapshot !== null)
  const unsettled = await store.calls.unsettled([])
  assert.equal(snapshot.history.inFlight, unsettled.length)
  const intents = all.filter(({ bytes }) => Buffer.from(bytes).includes('"kind":"intent"'))
  const outcomes = all.filter(({ bytes }) => Buffer.from(bytes).includes('"kind":"outcome"'))
  assert.equal(snapshot.usage.calls, intents.length)
  assert.equal(unsettled.length, intents.length - outcomes.length)
}

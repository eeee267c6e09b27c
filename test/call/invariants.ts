import assert from 'node:assert/strict'
import { join } from 'node:path'
import { createPublisher } from '../../src/audit/publish.ts'
import { verifyLog, type Report } from '../../src/verify.ts'
import { overspent } from '../../src/store/verbs/line.ts'
import type { JsonObject } from '../../src/lib/json.ts'
import type { PathWorld } from './world.ts'
import { bankToken, field } from './world.ts'

/** What must hold of a world at rest, whatever happened in it. */
export async function demandInvariants(world: PathWorld): Promise<void> {
  const entries = await world.entries()
  const { intents, outcomes } = byKind(entries)
  demandIntents(world, intents)
  demandOutcomes(intents, outcomes)
  demandApprovals(intents)
  await demandTasks(world, entries)
  assert.deepEqual(await world.ground.store.secrets.openLeases(), [], 'I5: a lease is open')
  assert.deepEqual(await world.ground.store.calls.unsettled([]), [], 'I2: an intent has no outcome')
  assert.ok(!JSON.stringify(entries).includes(bankToken), 'I5: a secret is in the log')
}

const byKind = (entries: readonly JsonObject[]) => ({
  intents: entries.filter(({ kind }) => kind === 'intent'),
  outcomes: entries.filter(({ kind }) => kind === 'outcome'),
})

/** I1. Asked at the moment when the server was reached. */
function demandIntents({ servers }: PathWorld, intents: readonly JsonObject[]): void {
  const calls = new Set(intents.map(({ call }) => call))
  const reached = new Set<string>()
  for (const { outgoing, kinds } of servers.reached) {
    assert.ok(!reached.has(outgoing.call), `I2: \`${outgoing.call}\` was sent twice`)
    reached.add(outgoing.call)
    if (calls.has(outgoing.call))
      assert.deepEqual(
        kinds.filter((kind) => kind !== 'refused' && kind !== 'act'),
        ['intent'],
        `I1: \`${outgoing.call}\` reached a server without a durable intent`,
      )
    else assert.fail(`I1: \`${outgoing.call}\` reached a server and has no intent`)
  }
}

/** I2. One outcome each, and it comes after. */
function demandOutcomes(intents: readonly JsonObject[], outcomes: readonly JsonObject[]): void {
  const ended = outcomes.map(({ call }) => String(call)).sort()
  assert.deepEqual(ended, intents.map(({ call }) => String(call)).sort(), 'I2: one outcome for each intent')
}

/** I4. All that one ask allowed belongs to one chain, and only its first call or one leg consumed it. */
function demandApprovals(intents: readonly JsonObject[]): void {
  const chains = new Map<unknown, Set<unknown>>()
  for (const intent of intents) {
    const { ask } = field(intent, 'approval')
    if (ask !== undefined) chains.set(ask, (chains.get(ask) ?? new Set()).add(intent['chain']))
  }
  for (const [ask, of] of chains)
    assert.equal(of.size, 1, `I4: \`${String(ask)}\` was used by ${of.size} chains`)
}

/** Budgets of a task and all above it hold; what was counted is what was intended. */
async function demandTasks({ ground, clock }: PathWorld, entries: readonly JsonObject[]): Promise<void> {
  const { intents } = byKind(entries)
  for (const { id } of await ground.store.tasks.list({})) {
    const snapshot = await ground.store.tasks.snapshot(id, clock.now())
    assert.ok(snapshot !== null)
    assert.equal(snapshot.history.inFlight, 0, `I2: \`${id}\` has calls in flight`)
    const all = [
      { ...snapshot, task: snapshot.task },
      ...snapshot.ancestors.map((task, i) => ({ task, usage: snapshot.ancestorUsage[i] })),
    ]
    for (const { task, usage } of all)
      assert.equal(usage && overspent(task.budget, usage), null, `\`${task.id}\` spent more than its budget`)
    const own = intents.filter((intent) => intent['task'] === id && intent['chain'] === intent['call']).length
    assert.ok(snapshot.usage.calls >= own, `\`${id}\` made ${own} calls and counts ${snapshot.usage.calls}`)
  }
}

/** Publishes what is in the log and has the offline verifier look at it. */
export async function verified({ ground, home, clock }: PathWorld): Promise<Report> {
  const directory = join(home, 'log')
  const publisher = createPublisher({
    log: ground.store.log,
    directory,
    key: ground.keys.log,
    clock,
    origin: 'test.local/log',
    everyMs: 1000,
  })
  await publisher.tick()
  return verifyLog({ directory, vkey: publisher.vkey })
}

export async function demandVerified(world: PathWorld): Promise<void> {
  const report = await verified(world)
  assert.deepEqual(report.problems, [])
  assert.deepEqual(report.open, [], 'I2: an intent has no outcome')
  assert.equal(report.signature, 'verified')
  assert.equal(report.size, (await world.entries()).length)
}

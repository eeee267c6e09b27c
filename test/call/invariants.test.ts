import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import fc from 'fast-check'
import { covers, type Labels } from '../../src/flow/labels.ts'
import { newId } from '../../src/lib/id.ts'
import { demandInvariants, demandVerified } from './invariants.ts'
import {
  bankToken,
  endOf,
  field,
  hang,
  hire,
  operator,
  pathWorld,
  text,
  toolIds,
  type PathWorld,
  type Wanting,
} from './world.ts'
import type { JsonObject } from '../../src/lib/json.ts'
import type { Outgoing, ServerAnswer } from '../../src/server/answer.ts'
import type { Refused } from '../../src/call/refusal.ts'
import type { Settled } from '../../src/call/states.ts'
import type { Task } from '../../src/task/task.ts'

/**
 * The invariants under random interleavings: many calls at once, servers of every temper, people who answer, refuse and
 * revoke, tasks that end. Whatever the order, afterwards everything must hold.
 */

let w: PathWorld
before(async () => void (w = await pathWorld({ pendingPerAgent: 200 })))
after(() => w.close())

const tempers = ['ok', 'fail', 'error', 'hang', 'die', 'gone', 'input', 'echo', 'throw'] as const
type Temper = (typeof tempers)[number]

/** What a server does is in the call's own argument, so that equal calls meet equal servers. */
const textOf = (temper: Temper, ticks: number): string => `${temper}:${ticks}`
const ticks = async (n: number): Promise<void> => {
  for (let i = 0; i < n; i += 1) await new Promise(setImmediate)
}

async function behave(outgoing: Outgoing): Promise<ServerAnswer> {
  const [temper, wait] = String(outgoing.arguments['text']).split(':')
  await ticks(Number(wait))
  switch (temper) {
    case 'fail':
      return text('it failed', true)
    case 'error':
      return { kind: 'error', code: -32000, message: 'an error', data: { why: 'unknown' } }
    case 'hang':
      return hang(outgoing)
    case 'die':
      return { kind: 'unknown', problem: 'died', detail: 'it died' }
    case 'gone':
      return { kind: 'not-sent', problem: 'unreachable', detail: 'nobody there' }
    case 'input':
      return outgoing.leg === null
        ? { kind: 'input', inputRequests: { name: { method: 'elicitation/create' } }, requestState: 'theirs' }
        : text('thank you')
    case 'echo':
      return text(`you sent ${outgoing.lease.headers['authorization']?.reveal() ?? 'nothing'}`)
    case 'throw':
      throw new Error('the port broke its word')
    default:
      return text('fine')
  }
}

type Action =
  | {
      readonly kind: 'call'
      readonly task: number
      readonly tool: string
      readonly temper: Temper
      readonly ticks: number
      readonly path: string
    }
  | { readonly kind: 'again' | 'leg' | 'replay'; readonly which: number }
  | { readonly kind: 'approve' | 'refuse'; readonly which: number }
  | { readonly kind: 'revoke'; readonly key: number }
  | { readonly kind: 'close' | 'narrow'; readonly task: number }
  | { readonly kind: 'pause'; readonly ticks: number }

const small = fc.nat({ max: 50 })
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('call' as const),
      task: fc.nat({ max: 4 }),
      tool: fc.constantFrom(...toolIds.filter((id) => id !== 'files/wipe')),
      temper: fc.constantFrom(...tempers),
      ticks: fc.nat({ max: 6 }),
      path: fc.constantFrom('a', 'b'),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom('again' as const, 'leg' as const, 'replay' as const),
      which: small,
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constantFrom('approve' as const, 'approve' as const, 'refuse' as const),
      which: small,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('revoke' as const), key: fc.nat({ max: 5 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constantFrom('close' as const, 'narrow' as const),
      task: fc.nat({ max: 4 }),
    }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('pause' as const), ticks: fc.nat({ max: 12 }) }) },
)

/** One run of the path: what it was given, how long the log was when it began, what came of it. */
type Ran = {
  readonly task: Task
  readonly tool: string
  readonly args: JsonObject
  readonly call: string
  readonly chain: string
  readonly from: number
  readonly end: Settled | Refused
}

function play(tasks: readonly Task[]) {
  const ran: Ran[] = []
  const under: Promise<unknown>[] = []
  const heights = new Map<string, Labels>()

  const demandRise = async (id: string): Promise<void> => {
    const labels = (await w.ground.store.tasks.snapshot(id, 0))?.labels
    assert.ok(labels !== undefined)
    const before = heights.get(id)
    assert.ok(before === undefined || covers(labels, before), `I6: the labels of \`${id}\` went down`)
    heights.set(id, labels)
  }
  const start = (task: Task, tool: string, args: JsonObject, wanting: Wanting = {}): void => {
    const call = wanting.call ?? newId('c')
    const chain = wanting.chain ?? call
    const running = async (): Promise<void> => {
      const from = await w.ground.store.log.size()
      const end = await w.call(task, tool, args, { ...wanting, call, chain })
      // I3: at the very moment when an answer is in hand, its outcome is durable.
      const kinds = (await w.of(call)).map(({ kind }) => kind)
      if (!('refused' in end))
        assert.ok(kinds.includes('outcome'), `I3: \`${call}\` was released before it was settled`)
      ran.push({ task, tool, args, call, chain, from, end })
      await demandRise(task.id)
    }
    under.push(running())
  }
  const pick = <One>(of: readonly One[], which: number): One | undefined => of[which % Math.max(1, of.length)]

  return {
    ran,
    async act(step: Action): Promise<void> {
      switch (step.kind) {
        case 'call': {
          const task = pick(tasks, step.task)
          if (task) start(task, step.tool, { path: step.path, text: textOf(step.temper, step.ticks) })
          return
        }
        case 'again':
        case 'replay': {
          // The door runs a held call again under its id; an agent sends one again that was made.
          const wanted = step.kind === 'again' ? 'approval-required' : 'ok'
          const one = pick(
            ran.filter(({ end }) => endOf(end) === wanted),
            step.which,
          )
          if (one) start(one.task, one.tool, one.args, { call: one.call, chain: one.chain })
          return
        }
        case 'leg': {
          const one = pick(
            ran.filter(({ end }) => endOf(end) === 'suspended'),
            step.which,
          )
          if (!one || 'refused' in one.end) return
          const leg = { requestState: 'theirs', inputResponses: { name: 'x' }, ask: one.end.ask }
          start(one.task, one.tool, one.args, { chain: one.chain, leg })
          return
        }
        case 'approve':
        case 'refuse': {
          const ask = pick(await w.core.approvals.pending(), step.which)
          if (!ask) return
          if (step.kind === 'refuse') await w.refuse(ask.id)
          else for (const by of ['approver', 'second']) await w.approve(ask.id, by)
          return
        }
        case 'revoke': {
          const key =
            ['agent:coder', 'tool:files/read', 'server:bank', 'secret:bank', `task:${tasks[0]?.id}`, 'all'][
              step.key
            ] ?? 'all'
          await w.core.revocations.revoke({ key, reason: 'test' }, operator)
          await ticks(2)
          await w.core.revocations.lift({ key, reason: 'test' }, operator)
          return
        }
        case 'close':
        case 'narrow': {
          const task = pick(tasks, step.task)
          if (!task) return
          if (step.kind === 'close') await w.core.tasks.close(task.id, 'test', operator)
          else await w.core.tasks.narrow(task.id, { tools: ['files/*', 'bank/*'] }, operator)
          return
        }
        case 'pause':
          return ticks(step.ticks)
      }
    },
    /** Ends the tasks, so that what hangs is aborted, and waits for every run. */
    async finish(): Promise<void> {
      await ticks(30)
      for (const { id } of tasks) await w.core.tasks.close(id, 'test', operator)
      for (const end of await Promise.allSettled(under)) if (end.status === 'rejected') throw end.reason
      for (const ask of await w.core.approvals.pending()) await w.refuse(ask.id)
    },
  }
}

let games = 0
const world = async (budget: number): Promise<readonly Task[]> => {
  const agent = `agent-${(games += 1)}`
  await hire(w.ground, agent)
  const parent = await w.open({ agent, budget: { calls: budget, effects: { execute: 3 } } })
  const child = await w.open({ agent, parent: parent.id, budget: { calls: Math.max(1, budget - 2) } })
  const grandchild = await w.open({ agent, parent: child.id })
  return [parent, child, grandchild, await w.open({ agent: 'scout' }), await w.open({ agent })]
}

/** I2: what changes the world and was unknown before the run began was made again with an approval alone. */
async function demandAsked(ran: readonly Ran[]): Promise<void> {
  const entries = await w.entries()
  const at = (kind: string, call: string) =>
    entries.findIndex((entry) => entry['kind'] === kind && entry['call'] === call)
  const print = ({ tool, args }: Ran) => w.ground.recorder.fingerprint(tool, args)
  const unknown = ran.filter(({ end }) => endOf(end) === 'unknown')
  for (const one of ran) {
    if (
      'refused' in one.end ||
      one.tool.endsWith('read') ||
      one.tool.endsWith('secret') ||
      one.tool.endsWith('balance')
    )
      continue
    const before = unknown.find(
      (other) =>
        other.call !== one.call &&
        other.task.agent === one.task.agent &&
        print(other) === print(one) &&
        at('outcome', other.call) >= 0 &&
        at('outcome', other.call) < one.from,
    )
    const intent = entries[at('intent', one.call)]
    if (before)
      assert.ok(
        field(intent, 'approval')['ask'] !== undefined,
        `I2: \`${one.call}\` repeats \`${before.call}\` and asked nobody`,
      )
  }
}

describe('whatever is called, answered, revoked and ended at once', () => {
  it('I1 I2 I3 I4 I5 I6 hold, budgets too, and the log verifies', async () => {
    w.servers.script(behave)
    const seen = new Set<string>()
    await fc.assert(
      fc.asyncProperty(
        fc.array(action, { minLength: 12, maxLength: 40 }),
        fc.integer({ min: 2, max: 12 }),
        async (actions, budget) => {
          const game = play(await world(budget))
          for (const step of actions) await game.act(step)
          await game.finish()
          await w.owed.pay({ ...w.ports, calls: w.ground.store.calls, broker: w.ground.broker })
          for (const { end } of game.ran) seen.add(endOf(end))
          for (const { end } of game.ran)
            assert.ok(!JSON.stringify('refused' in end ? end.reason : end.answer).includes(bankToken), 'I5')
          await demandInvariants(w)
          await demandAsked(game.ran)
        },
      ),
      { numRuns: 40, endOnFailure: true },
    )
    await demandVerified(w)
    // A game in which nothing happens proves nothing.
    const expected = [
      'ok',
      'failed',
      'suspended',
      'unknown',
      'not-sent',
      'approval-required',
      'denied',
      'task-closed',
      'budget-spent',
      'revoked',
    ]
    assert.deepEqual(
      expected.filter((end) => !seen.has(end)),
      [],
      'not seen',
    )
  })
})

describe('I2: a call whose outcome is unknown', () => {
  const note = { path: 'a', text: textOf('die', 0) }
  it('is made again only when a person says so, in this task and in the next', async () => {
    w.servers.script(behave)
    const task = await w.open({ agent: 'scout' })
    const path = `once-${newId('c')}`
    assert.equal(endOf(await w.call(task, 'files/note', { ...note, path })), 'unknown')
    assert.equal(endOf(await w.call(task, 'files/note', { ...note, path })), 'approval-required')
    await w.core.tasks.close(task.id, 'done', operator)
    const next = await w.open({ agent: 'scout' })
    const waits = await w.call(next, 'files/note', { ...note, path })
    assert.ok('refused' in waits && waits.ask !== null)
    assert.match((await w.ask(waits.ask.id)).because.join(), /outcome is unknown/)
    await w.approve(waits.ask.id, 'approver', 'terminal')
    assert.equal(endOf(await w.call(next, 'files/note', { ...note, path })), 'unknown')
    assert.equal(endOf(await w.call(next, 'files/note', { ...note, path: `${path}-other` })), 'unknown')
  })

  it('and only reads may simply be read again', async () => {
    const task = await w.open({ agent: 'scout' })
    assert.equal(endOf(await w.call(task, 'files/read', note)), 'unknown')
    assert.equal(endOf(await w.call(task, 'files/read', note)), 'unknown')
  })
})

describe('I4: nothing is decided for longer than its run', () => {
  it('a call that was moved is judged by what holds then', async () => {
    w.servers.script(behave)
    await hire(w.ground, 'clerk')
    const task = await w.open({ agent: 'clerk' })
    const send = { path: 'a', text: textOf('ok', 0) }
    let reads = 0
    const calls: typeof w.ports.calls = {
      ...w.ports.calls,
      async intend(request) {
        // While `send` is being decided the task reads something that may not leave.
        if (request.tool === 'mail/send' && (reads += 1) === 1)
          assert.equal(endOf(await w.call(task, 'files/secret', send)), 'ok')
        return w.ports.calls.intend(request)
      },
    }
    const sent = w.servers.reached.length
    assert.equal(endOf(await w.call(task, 'mail/send', send, { ports: { calls } })), 'denied')
    assert.deepEqual(
      w.servers.reached.slice(sent).map(({ outgoing }) => outgoing.server),
      ['files'],
    )
  })

  it('of many equal calls at once, one budget is spent as often as it may be', async () => {
    const task = await w.open({ agent: 'scout', budget: { calls: 3 } })
    const ends = await Promise.all(
      Array.from({ length: 12 }, () => w.call(task, 'files/read', { path: 'a', text: 'ok:1' })),
    )
    assert.equal(ends.filter((end) => endOf(end) === 'ok').length, 3)
    assert.equal(ends.filter((end) => endOf(end) === 'budget-spent').length, 9)
  })
})

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { tmpdir } from 'node:os'
import { callTool, openTask, resume, type Agent, type Told } from '../../scripts/kill/agent.ts'
import { configOf, furnish, lookInto, startBrokers } from './home.ts'
import { freePorts } from '../../scripts/kill/place.ts'
import { hear, judge, noTruth } from '../../scripts/kill/truth.ts'
import { loadAgentKey } from '../../src/identity/key.ts'
import { openCalls } from '../../src/store/verbs/fsck.ts'
import { openSide, type Side } from './side.ts'
import { readIntents } from '../../scripts/kill/intents.ts'
import { startCluster, type Cluster, type DatabaseAddress } from '../postgres.ts'
import { startProxy, type Proxy } from '../../scripts/kill/proxy.ts'
import { startUpstream, type ToolName, type Upstream } from '../../scripts/kill/upstream.ts'
import type { Broker } from '../../src/broker.ts'
import type { Clock } from '../../src/lib/clock.ts'
import type { JsonObject } from '../../src/lib/json.ts'

/**
 * Two nodes on one PostgreSQL, each with a way of its own to it. What one of them cannot record does not happen, nothing
 * is spent twice, and nobody has to do anything for either to go on. `scripts/two-nodes.ts` plays it with processes that
 * are killed, under load.
 */

/** So that half a minute of silence, after which a node is dead, is over in seconds. */
const haste = 3
const hasty = (): Clock => {
  const from = Date.now()
  return { now: () => from + (Date.now() - from) * haste }
}

type Node = { readonly broker: Broker; readonly proxy: Proxy; readonly base: string }
type Task = { readonly id: string; readonly token: string }

describe('two nodes on one database', () => {
  const truth = noTruth()
  const brokers = startBrokers()
  const clock = hasty()
  let root: string
  let cluster: Cluster
  let upstream: Upstream
  let side: Side
  let database: DatabaseAddress
  let vkey: string
  let one: Node
  let two: Node
  let more: () => Promise<Node>
  const proxies: Proxy[] = []
  let agent: Agent
  let keys = 0

  const storeAt = ({ user, database }: DatabaseAddress, port: number) => ({
    postgres: `postgres://${user}@127.0.0.1:${port}/${database}`,
    passwordFile: join(root, 'password'),
    // A network that swallows everything says nothing: so long is waited each time.
    ...(port === cluster.port ? {} : { answerMs: 3_000 }),
  })

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'countersign-nodes-'))
    upstream = await startUpstream()
    cluster = await startCluster()
    database = await cluster.database()
    await writeFile(join(root, 'password'), await database.password(), { mode: 0o600 })
    const [first = 0, second = 0, third = 0] = await freePorts(3)
    const known = `http://127.0.0.1:${first}`
    const config = (name: string, port: number) =>
      configOf(join(root, name), upstream, {
        keys: join(root, 'keys'),
        store: storeAt(database, port),
        listen: { agentsUrl: known },
        audit: { checkpointMs: 200 },
      })
    vkey = await furnish(config('one', cluster.port))
    const node = async (name: string, port: number): Promise<Node> => {
      const proxy = await startProxy(cluster.port)
      proxies.push(proxy)
      const options = { clock, ports: { agents: port, operators: 0 } }
      const broker = await brokers.start(config(name, proxy.port), options)
      return { proxy, broker, base: `http://127.0.0.1:${port}` }
    }
    one = await node('one', first)
    two = await node('two', second)
    more = () => node('three', third)
    await Promise.all([one.broker.listed, two.broker.listed])
    side = await openSide(database)
    const key = await loadAgentKey(join(root, 'one'), 'coder')
    agent = { name: 'coder', key, base: one.base, known, now: clock.now }
  })
  after(async () => {
    upstream.release()
    for (const proxy of proxies) proxy.heal('gone')
    await brokers.endAll()
    for (const proxy of proxies) await proxy.close()
    await side.end()
    await cluster.end()
    await upstream.close()
    await rm(root, { recursive: true, force: true })
  })

  const open = async (detail: JsonObject = {}, calls: number | null = null): Promise<Task> => {
    const granted = await openTask(agent, { ...detail, ...(calls === null ? {} : { budget: { calls } }) })
    assert.ok(granted.ok, 'expected a task')
    truth.tasks.set(granted.task, { parent: null, calls })
    return { id: granted.task, token: granted.token }
  }
  const fresh = (word = 'key'): string => `${word}-${(keys += 1)}`
  const at = ({ base }: Node, { token }: Task) => ({ base, token, server: 'counting' })
  const call = (node: Node, task: Task, tool: ToolName, key = fresh()): Promise<Told> => {
    truth.sent.set(key, { task: task.id, tool })
    return hear(truth, key, () => callTool(at(node, task), tool, key))
  }
  /** Refused because nothing can be recorded: by the path, or by the door that could not even ask who calls. */
  const isAway = (told: Told): boolean =>
    (told.kind === 'refused' && told.code === 'audit-unavailable') ||
    (told.kind === 'turned' && told.status === 503)
  const until = async (what: string, holds: () => Promise<boolean>): Promise<void> => {
    for (let n = 0; n < 300; n += 1) {
      if (await holds()) return
      await wait(100)
    }
    assert.fail(`expected in half a minute: ${what}`)
  }
  const serves = (node: Node, task: Task): Promise<void> =>
    until('it serves again', async () => (await call(node, task, 'read')).kind === 'done')
  const refuses = async (node: Node, task: Task): Promise<void> => {
    const key = fresh()
    const told = await call(node, task, 'note', key)
    assert.ok(isAway(told), `it must say that it cannot record: ${JSON.stringify(told)}`)
    assert.equal(upstream.seen()[key], undefined, 'and nothing may have been sent')
  }
  const isSettled = async (): Promise<boolean> => (await side.view('countersign')(openCalls())).length === 0

  it('a budget is spent once, whichever node is asked', async () => {
    const task = await open({}, 3)
    const asked = Array.from({ length: 8 }, (_, n) => call(n % 2 === 0 ? one : two, task, 'note'))
    const told = await Promise.all(asked)
    assert.equal(told.filter(({ kind }) => kind === 'done').length, 3, JSON.stringify(told))
    const refused = told.flatMap((each) => (each.kind === 'refused' ? [each.code] : []))
    assert.deepEqual(
      refused,
      Array.from({ length: 5 }, () => 'budget-spent'),
    )
  })

  it('an approval that was given at one node is used once, when both are asked at the same moment', async () => {
    const task = await open()
    const key = fresh()
    const waiting = await call(one, task, 'write', key)
    assert.ok(waiting.kind === 'refused' && waiting.code === 'approval-required', JSON.stringify(waiting))
    const [ask] = await two.broker.core.approvals.pending()
    assert.ok(ask)
    truth.approved.set(key, 1)
    const by = { name: 'operator', proof: 'terminal' }
    const answer = { answer: 'approve', reason: 'looked at it', by, proof: 'terminal' } as const
    assert.ok((await two.broker.core.approvals.answer(ask.id, answer)).ok)
    const again = (node: Node) => hear(truth, key, () => resume(at(node, task), waiting.call))
    const anew = (node: Node) => call(node, task, 'write', key)
    const told = await Promise.all([anew(one), anew(two), again(one), again(two), anew(one), anew(two)])
    assert.equal(told.filter(({ kind }) => kind === 'done').length, 1, JSON.stringify(told))
    assert.equal(upstream.seen()[key], 1)
  })

  for (const how of ['late', 'gone'] as const)
    it(`a node whose way to the database is cut refuses and sends nothing, the other goes on, and both do when it is back (${how})`, async () => {
      const task = await open()
      one.proxy.cut()
      try {
        await refuses(one, task)
        assert.equal((await call(two, task, 'note')).kind, 'done')
      } finally {
        one.proxy.heal(how)
      }
      await serves(one, task)
      await serves(two, task)
    })

  it('a node whose way is cut can be stopped all the same', async () => {
    const three = await more()
    const task = await open()
    await serves(three, task)
    three.proxy.cut()
    await brokers.end(three.broker)
    assert.equal((await call(three, task, 'read')).kind, 'lost', 'nobody is there any more')
  })

  it('the calls of a node that is gone get their outcome from the other, and what it says later does not count', async () => {
    const task = await open()
    const key = fresh('held')
    const late = call(two, task, 'note', key)
    await until('it has arrived', async () => upstream.seen()[key] === 1)
    two.proxy.cut()
    try {
      await until('the other has settled it', isSettled)
    } finally {
      upstream.release()
      two.proxy.heal('late')
    }
    const told = await late
    assert.ok(told.kind === 'refused' && told.code === 'withheld', JSON.stringify(told))
    await serves(two, task)
    const outcomes = (await side.view('countersign')(readIntents())).filter((each) => each.key === key)
    assert.deepEqual(
      outcomes.map(({ outcome }) => outcome),
      ['unknown'],
    )
    const again = await call(one, task, 'note', key)
    assert.ok(
      again.kind === 'refused' && again.code === 'approval-required',
      'a write of unknown end is asked about',
    )
  })

  for (const how of ['stop', 'crash'] as const)
    it(`a database that ends (${how}): both refuse, nothing is sent, and both go on when it is there again`, async () => {
      const task = await open()
      await cluster[how]()
      try {
        await Promise.all([refuses(one, task), refuses(two, task)])
      } finally {
        await cluster.start()
      }
      await Promise.all([serves(one, task), serves(two, task)])
    })

  it('and then everybody says the same of what has happened', async () => {
    await side.end()
    side = await openSide(database)
    const { view } = side
    await until('every call has its outcome', isSettled)
    await brokers.endAll()
    const now = clock.now() + 3_600_000
    for (const name of ['one', 'two']) {
      const found = await lookInto({ view: view('countersign') }, { home: join(root, name), vkey, now })
      assert.deepEqual(found.report.findings, [], name)
      assert.deepEqual(found.report.open, { living: [], waiting: [], leases: [] })
      assert.deepEqual(judge(truth, upstream.seen(), found.intents), {
        unrecorded: 0,
        unsettled: 0,
        doubleSpent: 0,
        dishonest: [],
      })
    }
  })
})

import { setTimeout as wait } from 'node:timers/promises'
import { callTool, endTask, openTask, resume, type Agent, type Told } from './agent.ts'
import { hear, type Truth } from './truth.ts'
import { isJsonObject, type JsonObject } from '../../src/lib/json.ts'
import type { BrokerProcess } from './child.ts'
import type { Random } from './random.ts'
import type { ToolName } from './upstream.ts'

/** Agents at work and a person who answers, whatever happens to the brokers. Ends when `signal` aborts. */
export type Load = {
  readonly truth: Truth
  /** One of the brokers that serve, for the next request. */
  readonly base: () => string
  readonly agents: readonly Omit<Agent, 'base'>[]
  readonly servers: readonly [string, ...string[]]
  /** Who sits at a terminal of a broker that runs, if any. */
  readonly terminal: () => BrokerProcess | null
  readonly random: Random
  readonly signal: AbortSignal
}

/** Lanes of each agent. */
const lanes = 3
/** After a connection broke, a lane tries again this soon: the load must be there when the broker is back. */
const againMs = 25

export async function runLoad(load: Load): Promise<void> {
  const working = load.agents.flatMap((agent) => Array.from({ length: lanes }, () => lane(load, agent)))
  await Promise.all([...working, answering(load)])
}

type Task = { readonly token: string; readonly id: string; left: number }
type Lane = Load & { readonly agent: () => Agent; readonly name: string }

/** Makes a call and notes what was told. */
async function call(lane: Lane, task: Task, tool: ToolName, key: string): Promise<Told> {
  const { truth, random, servers } = lane
  truth.sent.set(key, { task: task.id, tool })
  const at = { base: lane.base(), token: task.token, server: random.pick(servers) }
  const told = await hear(truth, key, () => callTool(at, tool, key))
  // Nothing was spent while nobody was there.
  if (told.kind === 'lost' || told.kind === 'turned') await wait(againMs)
  else task.left -= 1
  return told
}

async function open(lane: Lane, parent: Task | null): Promise<Task | null> {
  const { truth, random } = lane
  const calls = random.between(2, 12)
  const detail: JsonObject = {
    budget: { calls },
    // One that was opened for an agent who never heard of it ends by itself.
    expires_in: 60,
    ...(parent === null ? {} : { parent: parent.id }),
  }
  const granted = await openTask(lane.agent(), detail)
  if (!granted.ok) {
    await wait(againMs)
    return null
  }
  truth.tasks.set(granted.task, { parent: parent?.id ?? null, calls })
  return { token: granted.token, id: granted.task, left: calls + 2 }
}

async function lane(load: Load, who: Load['agents'][number]): Promise<void> {
  const own: Lane = { ...load, agent: () => ({ ...who, base: load.base() }), name: who.name }
  let task: Task | null = null
  while (!load.signal.aborted) {
    task ??= await open(own, null)
    if (task === null) continue
    // Beyond its budget too: what is refused then must not arrive.
    if (task.left <= 0 || load.random.isOneIn(20)) {
      await endTask(own.agent(), task.token)
      if (load.random.isOneIn(4)) await call(own, task, 'note', keyOf(own))
      task = null
    } else {
      await oneThing(own, task)
    }
  }
}

const keyOf = ({ name, truth }: Pick<Lane, 'name' | 'truth'>): string => `${name}-${truth.sent.size}`

async function oneThing(lane: Lane, task: Task): Promise<void> {
  const { random } = lane
  const chosen = random.next()
  if (chosen < 0.45) return repeated(lane, task, 'read')
  if (chosen < 0.7) return repeated(lane, task, 'note')
  if (chosen < 0.88) return asked(lane, task)
  if (chosen < 0.94) return void (await call(lane, task, 'wipe', keyOf(lane)))
  const sub = await open(lane, task)
  if (sub === null) return
  for (let n = random.between(1, 4); n > 0; n -= 1) await call(lane, sub, 'note', keyOf(lane))
  if (random.isOneIn(2)) await endTask(lane.agent(), sub.token)
}

/** An agent that heard nothing sends the very same again, now and then. */
async function repeated(lane: Lane, task: Task, tool: ToolName): Promise<void> {
  const key = keyOf(lane)
  const told = await call(lane, task, tool, key)
  if (told.kind !== 'lost' || !lane.random.isOneIn(2)) return
  const again = await call(lane, task, tool, key)
  // A write of unknown end is asked about: that ask is as good as any.
  if (again.kind === 'refused' && again.code === 'approval-required')
    await waiting(lane, task, key, again.call)
}

async function asked(lane: Lane, task: Task): Promise<void> {
  const key = keyOf(lane)
  const told = await call(lane, task, 'write', key)
  if (told.kind === 'refused' && told.code === 'approval-required') await waiting(lane, task, key, told.call)
}

/** Tries some times; somebody who is impatient tries twice at once. */
async function waiting(lane: Lane, task: Task, key: string, id: string): Promise<void> {
  const { truth, random, signal } = lane
  for (let n = 0; n < 6 && !signal.aborted; n += 1) {
    await wait(random.between(20, 150))
    const once = () => hear(truth, key, () => resume({ base: lane.base(), token: task.token }, id))
    const all = await Promise.all(random.isOneIn(4) ? [once(), once()] : [once()])
    if (
      all.some((one) => one.kind === 'done' || (one.kind === 'refused' && one.code !== 'approval-required'))
    )
      return
  }
}

/** The person: looks at what waits, approves most of it, refuses some. */
async function answering({ truth, terminal, random, signal }: Load): Promise<void> {
  while (!signal.aborted) {
    const broker = terminal()
    const found =
      broker === null ? null : await broker.act('GET', '/v1/asks', undefined, { state: 'pending' })
    const asks = found?.['asks']
    for (const ask of Array.isArray(asks) ? asks.filter(isJsonObject) : []) {
      const args = ask['arguments']
      const key = isJsonObject(args) ? String(args['key']) : ''
      const answer = random.isOneIn(8) ? 'refuse' : 'approve'
      if (answer === 'approve') truth.approved.set(key, (truth.approved.get(key) ?? 0) + 1)
      const given = { answer, reason: 'looked at it', digest: String(ask['digest']) }
      await broker?.act('POST', `/v1/asks/${String(ask['id'])}/answer`, given)
    }
    await wait(60)
  }
}

import { asOperator, reviewAll } from './home.ts'
import { callTool, endTask, openTask, resume, type Agent, type Told } from '../../scripts/kill/agent.ts'
import { createKey, loadAgentKey } from '../../src/identity/key.ts'
import { didText, toolNames, type ToolName } from '../../scripts/kill/upstream.ts'
import { hear, type Truth } from '../../scripts/kill/truth.ts'
import { isJsonObject, type JsonObject } from '../../src/lib/json.ts'
import { newId } from '../../src/lib/id.ts'
import { policy } from '../../scripts/kill/policy.ts'
import type { Broker } from '../../src/broker.ts'
import type { ChangeName } from '../../src/store/changes.ts'

/** Real use of a broker, in pieces: each makes one kind of change happen, through the listeners that people and agents use. */
export type Stage = {
  readonly broker: Broker
  readonly truth: Truth
  /** Of the upstream, for servers that are added. */
  readonly url: string
  readonly agent: Agent
  readonly task: Task
  /** Whoever was told that something could not be done, in words for a test. */
  readonly heard: string[]
}

type Task = { readonly id: string; token: string; at: number }

export async function setStage(
  given: Pick<Stage, 'broker' | 'truth' | 'url'>,
  name = 'coder',
): Promise<Stage> {
  const { broker, truth } = given
  const agent = { name, key: await loadAgentKey(broker.home, name), base: broker.urls.agents }
  const heard: string[] = []
  const task = await open({ truth, agent, heard }, {})
  if (task === null) throw new Error('expected a task before anything is broken')
  return { ...given, agent, task, heard }
}

/** Plays until it is done or something says no; true when all of it was done. */
export type Play = (stage: Stage) => Promise<boolean>

const fresh = (): string => newId('k')

async function open(
  { truth, agent, heard }: Pick<Stage, 'truth' | 'agent' | 'heard'>,
  detail: JsonObject,
): Promise<Task | null> {
  const granted = await openTask(agent, detail)
  if (!granted.ok) {
    heard.push('no task')
    return null
  }
  const budget = isJsonObject(detail['budget']) ? detail['budget']['calls'] : undefined
  const parent = typeof detail['parent'] === 'string' ? detail['parent'] : null
  truth.tasks.set(granted.task, { parent, calls: typeof budget === 'number' ? budget : null })
  return { token: granted.token, id: granted.task, at: performance.now() }
}

/** A token is good for some minutes, and a slow machine may take longer than that for all of it. */
const freshMs = 60_000

async function tokenOf({ agent }: Pick<Stage, 'agent'>, task: Task): Promise<string> {
  if (performance.now() - task.at < freshMs) return task.token
  const granted = await openTask(agent, { task: task.id })
  if (granted.ok) Object.assign(task, { token: granted.token, at: performance.now() })
  return task.token
}

/** Makes a call and notes what was told. */
async function call(stage: Stage, tool: ToolName, key = fresh(), task = stage.task): Promise<Told> {
  const { truth, agent } = stage
  truth.sent.set(key, { task: task.id, tool })
  const at = { base: agent.base, token: await tokenOf(stage, task), server: 'counting' }
  return heed(stage, await hear(truth, key, () => callTool(at, tool, key)))
}

async function again(stage: Stage, key: string, call: string): Promise<Told> {
  const at = { base: stage.agent.base, token: await tokenOf(stage, stage.task) }
  return heed(stage, await hear(stage.truth, key, () => resume(at, call)))
}

/** Answers that speak of the broker, and not of what was asked. */
const broken: ReadonlySet<string> = new Set(['audit-unavailable', 'fault', 'withheld', 'not-sent'])

function heed({ heard }: Stage, told: Told): Told {
  if (told.kind === 'turned') heard.push(`status ${told.status}`)
  if (told.kind === 'refused' && broken.has(told.code)) heard.push(told.code)
  return told
}

async function act(
  stage: Stage,
  method: string,
  path: string,
  body?: JsonObject,
): Promise<JsonObject | null> {
  const done = await asOperator(stage.broker, method, path, body)
  if (done === null) stage.heard.push(`${method} ${path}`)
  return done
}

async function end(stage: Stage, task: Task): Promise<boolean> {
  const ended = await endTask(stage.agent, task.token)
  if (!ended) stage.heard.push('the task did not end')
  return ended
}

const isDone = (told: Told, key: string): boolean => told.kind === 'done' && told.text === didText(key)

const made =
  (tool: ToolName): Play =>
  async (stage) => {
    const key = fresh()
    return isDone(await call(stage, tool, key), key)
  }

const together: Play = async (stage) => {
  const keys = [fresh(), fresh(), fresh(), fresh()]
  const told = await Promise.all(keys.map((key) => call(stage, 'note', key)))
  return told.every((one, n) => isDone(one, keys[n] ?? ''))
}

const denied: Play = async (stage) => {
  const told = await call(stage, 'wipe')
  return told.kind === 'refused' && told.code === 'denied'
}

/** A person approves; the agent resumes, and tries to have it twice. */
const approved: Play = async (stage) => {
  const key = fresh()
  const waiting = await call(stage, 'write', key)
  if (waiting.kind !== 'refused' || waiting.call === '') return false
  await approveAll(stage)
  const first = await again(stage, key, waiting.call)
  await again(stage, key, waiting.call)
  return isDone(first, key)
}

async function approveAll(stage: Stage): Promise<void> {
  const { truth } = stage
  const found = await act(stage, 'GET', '/v1/asks')
  const asks = found?.['asks']
  for (const ask of Array.isArray(asks) ? asks.filter(isJsonObject) : []) {
    if (ask['state'] !== 'pending') continue
    const args = ask['arguments']
    const key = isJsonObject(args) ? String(args['key']) : ''
    truth.approved.set(key, (truth.approved.get(key) ?? 0) + 1)
    const given = { answer: 'approve', reason: 'looked at it', digest: String(ask['digest']) }
    await act(stage, 'POST', `/v1/asks/${String(ask['id'])}/answer`, given)
  }
}

/** A sub-task with a budget that runs out, and ends. */
const spent: Play = async (stage) => {
  const sub = await open(stage, { parent: stage.task.id, budget: { calls: 2 } })
  if (sub === null) return false
  const told: Told[] = []
  for (let n = 0; n < 3; n += 1) told.push(await call(stage, 'note', fresh(), sub))
  const ended = await end(stage, sub)
  const late = await call(stage, 'note', fresh(), sub)
  return ended && told.filter(({ kind }) => kind === 'done').length === 2 && late.kind === 'refused'
}

const narrowed: Play = async (stage) => {
  const sub = await open(stage, { parent: stage.task.id, budget: { calls: 9 } })
  if (sub === null) return false
  const narrow = { budget: { calls: 1 }, tools: ['counting/read'] }
  const done = await act(stage, 'POST', `/v1/tasks/${sub.id}/narrow`, narrow)
  const told = await call(stage, 'read', fresh(), sub)
  return done !== null && told.kind === 'done' && (await end(stage, sub))
}

const operator =
  (...acts: readonly (readonly [method: string, path: string, body?: JsonObject])[]): Play =>
  async (stage) => {
    let all = true
    for (const one of acts) all = (await act(stage, ...one)) !== null && all
    return all
  }

const lowered: Play = (stage) =>
  operator([
    'POST',
    `/v1/tasks/${stage.task.id}/labels`,
    { confidentiality: 'public', integrity: 'trusted', reason: 'looked at it' },
  ])(stage)

/** A server that nobody knew is added, listed, reviewed, and removed again. */
const server: Play = async (stage) => {
  const { broker, url, heard } = stage
  const name = `s${fresh().slice(2, 12).toLowerCase()}`
  const added = await act(stage, 'POST', '/v1/servers', { name, config: { url } })
  // A registration that could not be answered for may stand all the same, and then the next listing shows its tools.
  const reviewed = await reviewAll(broker)
  if (reviewed !== toolNames.length) heard.push(`${reviewed} tools were reviewed`)
  const removed = await act(stage, 'DELETE', `/v1/servers/${name}`)
  return added !== null && reviewed === toolNames.length && removed !== null
}

const guest: Play = (stage) => {
  const name = `guest-${fresh().slice(2, 12).toLowerCase()}`
  const [first, second] = [createKey().publicKey, createKey().publicKey]
  return operator(
    ['POST', '/v1/agents', { name, publicKey: first }],
    ['PUT', `/v1/agents/${name}/key`, { publicKey: second }],
    ['DELETE', `/v1/agents/${name}`, { reason: 'has left' }],
  )(stage)
}

const revoked: Play = operator(
  ['POST', '/v1/revocations', { key: 'server:elsewhere', reason: 'looks odd' }],
  ['DELETE', `/v1/revocations/${encodeURIComponent('server:elsewhere')}`, { reason: 'is well' }],
)

const secret: Play = operator(
  ['PUT', '/v1/secrets/spare', { value: 'a spare one' }],
  ['DELETE', '/v1/secrets/spare'],
)

/** A listing borrows the credential, and gives it back by itself: there is no outcome that could do so. */
const listed: Play = operator(['POST', '/v1/servers/counting/refresh', {}])

const swapped: Play = (stage) =>
  operator(['PUT', '/v1/policy', { files: [{ name: 'kill.cedar', text: `${policy}\n// ${fresh()}` }] }])(
    stage,
  )

const passphrase: Play = operator([
  'PUT',
  '/v1/operators/operator/passphrase',
  { passphrase: 'several words that are easy' },
])

const published: Play = async (stage) => {
  await denied(stage)
  const done = await stage.broker.publisher.tick().catch(() => null)
  if (done?.kind !== 'published') stage.heard.push('not published')
  return done?.kind === 'published'
}

/** A call is made, and a person has what it gave erased. */
const erased: Play = async (stage) => {
  const told = await call(stage, 'read')
  if (told.kind !== 'done') return false
  const found = await act(stage, 'GET', `/v1/calls/${told.call}`)
  const entries = Array.isArray(found?.['entries']) ? found['entries'].filter(isJsonObject) : []
  const results = entries.map(({ entry }) => (isJsonObject(entry) ? entry['result'] : null))
  const commitment = results.find((one) => typeof one === 'string')
  return operator(['POST', '/v1/audit/erase', { commitment: commitment ?? '', reason: 'asked for' }])(stage)
}

/** What happens without anyone asking comes within a second. */
const waited: Play = async () => {
  await new Promise((after) => setTimeout(after, 1300))
  return true
}

/** Every change that the store knows, and the play in which it happens. */
export const plays: { readonly [Name in ChangeName]: Play } = {
  'agents.add': guest,
  'agents.update': guest,
  'agents.useProof': spent,
  'approvals.answer': approved,
  'approvals.ask': approved,
  'calls.hold': approved,
  'calls.intend': made('read'),
  'calls.settle': made('read'),
  'log.append': denied,
  'log.erase': erased,
  'log.putCheckpoint': published,
  'policies.put': swapped,
  'registry.putServer': server,
  'registry.putTools': server,
  'registry.putView': server,
  'registry.review': server,
  'revocations.add': revoked,
  'revocations.lift': revoked,
  'secrets.closeLease': listed,
  'secrets.openLease': made('read'),
  'secrets.put': secret,
  'secrets.remove': secret,
  'settings.beat': waited,
  'settings.put': passphrase,
  'tasks.close': spent,
  'tasks.lowerLabels': lowered,
  'tasks.narrow': narrowed,
  'tasks.open': spent,
}

/** More than one of a kind at a moment: they share a transaction, and a fault. */
export const crowds: readonly { readonly change: ChangeName; readonly play: Play }[] = [
  { change: 'calls.intend', play: together },
  { change: 'calls.settle', play: together },
  { change: 'calls.intend', play: approved },
  { change: 'calls.settle', play: approved },
  { change: 'calls.intend', play: spent },
]

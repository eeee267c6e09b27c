import fc from 'fast-check'
import { createActs } from '../../src/identity/actor.ts'
import { createKey } from '../../src/identity/key.ts'
import { createProofs, signProof } from '../../src/identity/proof.ts'
import { createRecorder } from '../../src/audit/record.ts'
import { createRevocations } from '../../src/revocation/live.ts'
import { createTasks, type Tasks } from '../../src/task/tasks.ts'
import { createTokenEndpoint, type TokenAnswer } from '../../src/door/token.ts'
import { createTokens } from '../../src/identity/token.ts'
import { isJsonObject, type JsonObject } from '../../src/lib/json.ts'
import { join } from 'node:path'
import { mkdtempSync, rmSync } from 'node:fs'
import { openSqlite } from '../../src/store/sqlite.ts'
import { tmpdir } from 'node:os'
import { widens, scopeOf } from '../../src/task/narrow.ts'
import { bytes, hold, text, type Input, type Target } from '../target.ts'
import type { Agent } from '../../src/identity/caller.ts'
import type { Task } from '../../src/task/task.ts'

const base = 'http://127.0.0.1:7316'
const start = 1_800_000_000_000

/** `idleMs: 0` and no limit of calls: the widest ceiling, under which the most can be asked for. */
const templates: { readonly [agent: string]: Agent['template'] } = {
  coder: { purposeClass: 'general', environment: 'development', tools: ['*'], budget: {}, lifetimeMs: 8 * 3_600_000, idleMs: 0 },
  narrow: { purposeClass: 'incident', environment: 'production', tools: ['files/*', 'mail/send'], budget: { calls: 5, effects: { write: 2 } }, lifetimeMs: 60_000, idleMs: 30_000 },
} // prettier-ignore

type World = Awaited<ReturnType<typeof build>>

/**
 * The agents' token endpoint on a real store: forms with `%PROOF%` (a good proof of the agent), `%OTHER%` (of another
 * one), `%TOKEN%` (a token it has) and `%TASK%` (its open task). The first line says which of `/token` and `/revoke`.
 */
export async function open(): Promise<Target> {
  const world = await build()
  return {
    atOnce: 1,
    most: 8192,
    words,
    seeds: seeds.map(bytes),
    fresh: grammar().map(bytes),
    run: (input) => run(world, input),
    async close() {
      await world.store.close()
      rmSync(world.folder, { recursive: true, force: true })
    },
  }
}

async function build() {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-fuzz-'))
  const state = { now: start }
  const clock = { now: () => state.now }
  const store = await openSqlite({ path: join(folder, 'store.db'), clock })
  const acts = createActs({ recorder: createRecorder({ fingerprintKey: new Uint8Array(32) }), clock, broker: `b_${'0'.repeat(22)}` })
  const revocations = await createRevocations({ store: store.revocations, acts, clock })
  const coder = templates['coder']
  if (coder === undefined) throw new Error('unreachable')
  const tasks = createTasks({ store: store.tasks, agents: store.agents, revocations, acts, clock, purposes: ['general', 'incident'], personTemplate: coder, labelsMemoryMs: 0, context: () => ({ environment: 'development' }), onClosed: () => undefined })
  const keys = { coder: createKey(), narrow: createKey() }
  for (const [name, key] of Object.entries(keys)) {
    const template = templates[name] ?? coder
    await store.agents.add({ name, owner: 'owner', publicKey: key.publicKey, state: 'active', createdAt: start, template }, acts({ act: 'agent-added', subject: name, detail: {} }, { name: 'operator', proof: 'terminal' }))
  }
  const tokens = await createTokens({ issuer: base, audience: base, key: createKey() })
  const proofs = createProofs({ audience: `${base}/token`, agent: (name) => store.agents.get(name), used: store.agents, clock })
  const endpoint = createTokenEndpoint({ audience: `${base}/token`, proofs, tasks, tokens, revocations, clock, monotonic: () => state.now })
  return { folder, state, clock, store, tasks, keys, tokens, endpoint }
} // prettier-ignore

async function run(world: World, input: Input): Promise<void> {
  // Time goes on, so that rates and used proofs are not all that is tried.
  world.state.now += 1_000
  const words = text(input)
  const narrow = words.startsWith('narrow ')
  const agent = narrow ? 'narrow' : 'coder'
  const [first = '', ...rest] = words.replace(/^narrow /, '').split('\n')
  const sign = (name: 'coder' | 'narrow'): Promise<string> =>
    signProof({ agent: name, key: world.keys[name], audience: `${base}/token`, now: world.state.now })
  const proof = await sign(agent)
  const mine = await world.tasks.open({ by: 'agent', agent }, { name: agent, proof: 'agent-key' })
  hold(mine.ok, 'an agent can open its plain task', () => JSON.stringify(mine))
  const { token } = await world.tokens.mint({
    agent,
    owner: 'owner',
    task: mine.task.id,
    now: world.state.now,
  })
  const other = await sign(narrow ? 'coder' : 'narrow')
  const puts: { readonly [name: string]: string } = {
    PROOF: proof,
    OTHER: other,
    TOKEN: token,
    TASK: mine.task.id,
  }
  const form = rest.join('\n').replace(/%(PROOF|OTHER|TOKEN|TASK)%/g, (_, name: string) => puts[name] ?? '')
  try {
    const answer = first === '/revoke' ? await world.endpoint.revoke(form) : await world.endpoint.token(form)
    checkAnswer(answer, form)
    if (answer.status === 200) await checkGranted(world, { answer, form, agent, first, good: [proof, other] })
  } finally {
    await closeAll(world.tasks)
  }
}

async function closeAll(tasks: Tasks): Promise<void> {
  for (const task of await tasks.list({ state: 'open' }))
    await tasks.close(task.id, 'completed', { name: 'operator', proof: 'terminal' })
}

const statuses = new Set([200, 400, 401, 429])

function checkAnswer({ status, body, headers = {} }: TokenAnswer, form: string): void {
  hold(statuses.has(status), 'an answer has a status of the specification', () => String(status))
  if (status === 200) return
  const { error, error_description: described } = body ?? {}
  hold(typeof error === 'string' && typeof described === 'string', 'an error says which and why')
  // RFC 6749 section 5.2.
  hold(/^[\x20-\x21\x23-\x5b\x5d-\x7e]*$/.test(described), 'a description is what the specification allows')
  hold(
    headers['Cache-Control'] === 'no-store' && (status !== 429 || headers['Retry-After'] !== undefined),
    'nothing of it may be kept',
  )
  hold(
    described.length < 1000 && !/eyJ[\w-]{20}/.test(described),
    'a description quotes no token',
    () => form,
  )
}

type Granted = {
  readonly answer: TokenAnswer
  readonly form: string
  readonly agent: string
  readonly first: string
  readonly good: readonly string[]
}

async function checkGranted(world: World, { answer, form, agent, first, good }: Granted): Promise<void> {
  const fields = new URLSearchParams(form)
  const all = (name: string): readonly string[] => fields.getAll(name)
  const assertion = all('client_assertion')
  hold(assertion.length === 1 && good.includes(assertion[0] ?? ''), 'nothing is granted without a good proof')
  hold(all('client_assertion_type').length === 1, 'a proof says what it is, once')
  if (first === '/revoke') return
  hold(all('grant_type').join() === 'client_credentials', 'one grant is known')
  const { access_token: token, authorization_details: details } = answer.body ?? {}
  const read = await world.tokens.read(String(token), world.state.now)
  hold(read.ok, 'a token that is given can be read')
  const by = assertion[0] === good[0] ? agent : agent === 'coder' ? 'narrow' : 'coder'
  hold(read.claims.agent === by, 'a token is whose proof it was')
  const task = await world.tasks.get(read.claims.task)
  hold(task !== null && task.agent === by && task.state === 'open', 'a token names an open task of its agent')
  checkCeiling(world, task)
  const [detail] = Array.isArray(details) ? details : []
  hold(isJsonObject(detail) && detail['id'] === task.id, 'what was granted is said')
}

function checkCeiling(world: World, task: Task): void {
  const template = templates[task.agent]
  hold(template !== undefined, 'an agent has a ceiling')
  const ceiling = {
    ...template,
    agent: task.agent,
    owner: 'owner',
    expiresAt: world.state.now + template.lifetimeMs,
  }
  const over = widens(scopeOf(task), ceiling)
  hold(over === null, 'a task lies within the ceiling of its agent', () => over ?? '')
  hold(Number.isSafeInteger(task.expiresAt) && Number.isSafeInteger(task.idleMs), 'times are whole numbers')
}

const plain = 'grant_type=client_credentials&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion=%PROOF%' // prettier-ignore
const details = (detail: JsonObject | string): string =>
  `&authorization_details=${encodeURIComponent(typeof detail === 'string' ? detail : JSON.stringify([detail]))}`

const words = ['grant_type=', 'client_credentials', 'client_assertion=', 'client_assertion_type=', 'client_id=coder', 'authorization_details=', 'resource=', 'token=%TOKEN%', '%PROOF%', '%OTHER%', '%TASK%', '&', '=', '%00', '%ff', '%EF%BF%BF', '+', '%5B%7B%22type%22%3A%22task%22%7D%5D', '"type":"task"', '"tools":["files/*"]', '"expires_in":60', '"idle_seconds":9007199254740991', '"parent":"%TASK%"', '"task":"%TASK%"', '"budget":{"calls":1}', '__proto__=1', 'constructor=1', 'narrow ', '/revoke\n'] // prettier-ignore

const seeds = [
  `/token\n${plain}`,
  `/token\n${plain}&client_id=coder&resource=http%3A%2F%2F127.0.0.1%3A7316%2Fmcp${details({ type: 'task', purpose: 'general', words: 'tidy up', tools: ['files/*'], environment: 'development', budget: { calls: 3, effects: { write: 1 } }, expires_in: 600, idle_seconds: 60 })}`,
  `/token\n${plain}${details({ type: 'task', idle_seconds: 9_007_199_254_740_991 })}`,
  `/token\n${plain}${details('[{"type":"task","task":"%TASK%"}]')}`.replaceAll('%25TASK%25', '%TASK%'),
  `/token\n${plain}${details('[{"type":"task","parent":"%TASK%","tools":["a/b"]}]')}`.replaceAll('%25TASK%25', '%TASK%'),
  `narrow /token\n${plain}${details({ type: 'task', tools: ['files/read'], budget: { calls: 4 }, expires_in: 30, idle_seconds: 10 })}`,
  `/revoke\n${plain.replace('grant_type=client_credentials&', '')}&token=%TOKEN%`,
  `/token\n${plain.replace('%PROOF%', '%OTHER%')}&client_id=narrow`,
] // prettier-ignore

function grammar(): fc.Arbitrary<string> {
  const number = fc.oneof(
    fc.integer({ min: -1, max: 100 }),
    fc.constantFrom(0.5, 1e15, 9_007_199_254_740_991, 2 ** 31),
  )
  const pattern = fc.constantFrom(
    '*',
    'files/*',
    'mail/send',
    'mail/*',
    'a/b',
    'files/prompt:x',
    '',
    '/',
    'x'.repeat(600),
  )
  const detail = fc.record(
    { type: fc.constantFrom('task', 'Task'), purpose: fc.constantFrom('general', 'incident', 'x'), words: fc.string(), tools: fc.array(pattern, { maxLength: 4 }), environment: fc.constantFrom('development', 'production'), budget: fc.record({ calls: number, effects: fc.dictionary(fc.constantFrom('write', 'read', 'x'), number) }, { requiredKeys: [] }), expires_in: number, idle_seconds: number, parent: fc.constantFrom('%TASK%', 't_1'), task: fc.constantFrom('%TASK%', 't_1') },
    { requiredKeys: ['type'] },
  ) // prettier-ignore
  return fc
    .tuple(fc.boolean(), detail)
    .map(
      ([narrow, made]) =>
        `${narrow ? 'narrow ' : ''}/token\n${plain}${details(JSON.stringify([made])).replaceAll('%25TASK%25', '%TASK%')}`,
    )
}

import { canaries, openWorld, type World } from '../world.ts'
import { isJsonObject, type JsonObject } from '../../src/lib/json.ts'
import { parseIJson } from '../../src/lib/ijson.ts'
import { send } from '../raw.ts'
import { bytes, hold, text, Violation, type Target } from '../target.ts'

/**
 * The operators' API: `LEVEL METHOD PATH` on the first line, a body below; or `RAW` and bytes for its listener. Levels are
 * `none`, `wrong`, `key` (any program of the same user), `terminal`. A world lasts some hundred inputs: what operators
 * may do includes taking it apart.
 */
export async function open(): Promise<Target> {
  const state = { world: await openWorld(), uses: 0 }
  return {
    atOnce: 1,
    json: true,
    most: 8192,
    words,
    seeds: seeds.map(bytes),
    async run(input) {
      if (++state.uses % 400 === 0) {
        await state.world.settle()
        await state.world.close()
        state.world = await openWorld()
      }
      await run(state.world, text(input))
    },
    settle: () => state.world.settle(),
    close: () => state.world.close(),
  }
}

async function run(world: World, words: string): Promise<void> {
  if (words.startsWith('RAW\n')) await raw(world, words.slice(4))
  else await ask(world, words)
  const [fault] = world.faults.splice(0)
  if (fault !== undefined) throw fault instanceof Error ? fault : new Violation('a fault that is no error')
}

/** What gives authority: the key alone must not do it. */
const proved =
  /^(?:POST \/v1\/(?:agents|servers|calls|audit\/erase)|PUT \/v1\/(?:agents\/[^/]+\/key|policy|secrets\/[^/]+)|POST \/v1\/tools\/[^/]+\/review|POST \/v1\/tasks\/[^/]+\/labels|DELETE \/v1\/revocations\/[^/]+)$/

const levels = ['none', 'wrong', 'key', 'terminal']
const methods = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'get']

async function ask(world: World, words: string): Promise<void> {
  const [first = '', ...rest] = words.split('\n')
  const [level = '', method = '', target = ''] = first.split(' ')
  if (!levels.includes(level) || !methods.includes(method)) return
  const [path = '', search = ''] = fill(world, target).split('?')
  const parsed = parseIJson(fill(world, rest.join('\n')))
  const body = rest.join('').trim() === '' ? undefined : parsed.ok ? parsed.value : null
  // Never with authority: a mutated configuration of a server would be run as a program.
  const safe = level === 'terminal' && /^\/v1\/servers\/?$/.test(decoded(path)) ? 'key' : level
  const key = safe === 'key' ? world.broker.operatorKey : safe === 'wrong' ? 'x'.repeat(43) : null
  const answer = await world.broker.api({
    method,
    path,
    query: Object.fromEntries(new URLSearchParams(search)),
    ...(safe === 'terminal' ? { level: 'terminal' } : {}),
    ...(key === null ? {} : { headers: { authorization: `Bearer ${key}` } }),
    ...(body === undefined ? {} : { body }),
  })
  check(answer, `${method} ${path}`, safe)
}

const decoded = (path: string): string => {
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}

const statuses = new Set([200, 201, 400, 401, 403, 404, 405, 409, 413, 415, 422, 429])

function check(answer: { readonly status: number; readonly body: JsonObject }, asked: string, level: string): void {
  const out = JSON.stringify(answer.body)
  const shown = (): string => `${level} ${asked}: ${answer.status} ${out}`
  hold(statuses.has(answer.status), 'an answer has a status that is ours', shown)
  if (level === 'none' || level === 'wrong') hold(answer.status === 401, 'nobody gets in without the key', shown)
  if (level === 'key' && proved.test(asked)) hold(answer.status >= 400, 'the key alone gives no authority', shown)
  if (answer.status >= 400) {
    const { error } = answer.body
    hold(isJsonObject(error) && typeof error['code'] === 'string' && typeof error['message'] === 'string' && typeof error['hint'] === 'string', 'an error has a code, a message and a hint', shown)
    hold(out.length < 8_000, 'an error stays short', shown)
  }
  leaks(out, shown)
} // prettier-ignore

function leaks(out: string, shown: () => string): void {
  for (const canary of [canaries.secret, canaries.environment]) hold(!out.includes(canary), 'no answer holds a secret', shown)
  hold(!/\bat (?:[\w.<>]+ )?\(?(?:file:|node:|\/)[^\s)]+:\d+:\d+/.test(out), 'no answer holds a stack', shown)
} // prettier-ignore

const fill = (world: World, words: string): string =>
  words.replace(/%(KEY|HOST|TASK|CALL|DIGEST|TOOL)%/g, (all, name: string) => {
    switch (name) {
      case 'KEY':
        return world.broker.operatorKey
      case 'HOST':
        return new URL(world.broker.urls.operators).host
      case 'TASK':
        return world.neighbour.task
      case 'CALL':
        return world.neighbour.call
      case 'DIGEST':
        return world.broker.core.registry.tools()[0]?.digest ?? ''
      case 'TOOL':
        return encodeURIComponent(world.broker.core.registry.tools()[0]?.id ?? '')
      default:
        return all
    }
  })

async function raw(world: World, words: string): Promise<void> {
  const filled = fill(world, words)
  // The same program must not be started through the socket either.
  if (/servers/i.test(filled) && !filled.startsWith('GET ')) return
  const body = filled.slice(Math.max(0, filled.indexOf('\r\n\r\n') + 4))
  const sending = Buffer.from(filled.replaceAll('%LENGTH%', String(Buffer.byteLength(body))))
  const sent = await send(Number(new URL(world.broker.urls.operators).port), sending, { expected: 1, patienceMs: 150 })
  const open = filled.includes(world.broker.operatorKey)
  for (const { status, body: out } of sent.answers) {
    hold(statuses.has(status) || [100, 204, 417, 431, 503].includes(status), 'an answer has a status that is ours', () => `${status} ${out}`)
    if (!open) hold(status >= 400 || /"status":"(?:ok|ready)"/.test(out) || status === 100, 'nobody gets in without the key', () => `${status} ${out}`)
    leaks(out, () => out)
  }
} // prettier-ignore

const request = (first: string, body: unknown = ''): string =>
  `${first}\n${typeof body === 'string' ? body : JSON.stringify(body)}`

const reading = ['/v1/status', '/v1/agents', '/v1/agents/coder', '/v1/asks?state=pending&limit=5', '/v1/audit/recent?limit=10&kind=act&before=50', '/v1/audit/entries/3', '/v1/audit/entries/3/receipt', '/v1/audit/checkpoint', '/v1/calls/%CALL%', '/v1/policy', '/v1/policy/suggestion', '/v1/servers', '/v1/servers/up', '/v1/servers/up/reviews', '/v1/tools?server=up&state=reviewed', '/v1/tools/%TOOL%', '/v1/tools/%TOOL%/diff', '/v1/revocations', '/v1/secrets', '/v1/tasks?state=open', '/v1/tasks/%TASK%'] // prettier-ignore

const seeds = [
  ...reading.map((path) => request(`key GET ${path}`)),
  ...['none', 'wrong', 'terminal'].map((level) => request(`${level} GET /v1/status`)),
  request('terminal POST /v1/agents', { name: 'third', publicKey: { kty: 'OKP', crv: 'Ed25519', x: 'A'.repeat(43) }, task: { tools: ['up/*'], budget: { calls: 3 } } }),
  request('terminal PUT /v1/agents/coder/key', { publicKey: { kty: 'OKP', crv: 'Ed25519', x: 'B'.repeat(43) } }),
  request('key DELETE /v1/agents/coder', { reason: 'x' }),
  request('terminal POST /v1/asks/a_0000000000000000000000/answer', { answer: 'approve', reason: '', digest: 'sha256:x' }),
  request('key POST /v1/audit/export', { name: 'copy-1' }),
  request('terminal POST /v1/audit/erase', { commitment: `sha256:${'0'.repeat(64)}`, reason: 'x' }),
  request('terminal POST /v1/calls', { server: 'up', name: 'echo', arguments: { text: 'x' }, words: 'why' }),
  request('key POST /v1/explain', { server: 'up', name: 'write_note', arguments: { text: 'x' }, task: '%TASK%' }),
  request('key POST /v1/policy/check', { files: [{ name: 'a.cedar', text: '@id("a") permit (principal, action, resource);' }] }),
  request('terminal PUT /v1/policy', { files: [{ name: 'a.cedar', text: '@id("a") permit (principal, action, resource);' }] }),
  request('key POST /v1/servers', { name: 'x', config: { url: 'http://127.0.0.1:1/mcp' } }),
  request('key POST /v1/servers/up/refresh', {}),
  request('key DELETE /v1/servers/up', {}),
  request('terminal POST /v1/tools/%TOOL%/review', { digest: '%DIGEST%', accept: true, overrides: { effects: ['read'], targets: { path: '/text' } } }),
  request('key POST /v1/revocations', { key: 'tool:up/echo', reason: 'x' }),
  request('key POST /v1/revocations', { key: 'all', reason: '' }),
  request('terminal DELETE /v1/revocations/all', { reason: 'x' }),
  request('terminal PUT /v1/secrets/other', { value: 'x' }),
  request('key DELETE /v1/secrets/other', {}),
  request('key POST /v1/tasks', { agent: 'coder', words: 'x', tools: ['up/echo'], budget: { calls: 1, effects: { write: 0 } }, expiresIn: 60, idleSeconds: 5 }),
  request('key POST /v1/tasks/%TASK%/narrow', { tools: ['up/echo'], expiresIn: 60 }),
  request('terminal POST /v1/tasks/%TASK%/labels', { confidentiality: 'public', integrity: 'trusted', reason: 'x' }),
  request('key DELETE /v1/tasks/%TASK%', { because: 'x' }),
  'RAW\nGET /v1/status HTTP/1.1\r\nHost: %HOST%\r\nAuthorization: Bearer %KEY%\r\n\r\n',
  'RAW\nGET /v1/status HTTP/1.1\r\nHost: %HOST%\r\n\r\n',
  'RAW\nPOST /v1/tasks HTTP/1.1\r\nHost: %HOST%\r\nAuthorization: Bearer %KEY%\r\nContent-Type: application/json\r\nContent-Length: %LENGTH%\r\n\r\n{"agent":"coder"}',
  'RAW\nPOST /v1/revocations HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 2\r\n\r\n{}',
] // prettier-ignore

const words = [...levels, ...methods, ...reading, '%TASK%', '%CALL%', '%TOOL%', '%DIGEST%', '%KEY%', '/', '%2F', '%2e%2e', '%', '?', '&limit=', '=1', '-1', '1e3', 'limit=501', 'before=9007199254740992', '"name":', '"config":', '"url":', '"publicKey":', '"task":', '"budget":', '"reason":', '"digest":', '"arguments":', '"__proto__":', '"files":', '"text":', '"key":', 'agent:coder', 'task:%TASK%', 'server:up', 'secret:up-token', 'token:x', 'person:owner', 'all', '\\uffff', '\\ud800', '\\u0000', 'RAW\n', 'Countersign-Passphrase: x\r\n', 'Origin: http://evil.example\r\n'] // prettier-ignore

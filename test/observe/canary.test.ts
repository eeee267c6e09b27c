import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { createMcpHandler } from '@modelcontextprotocol/server'
import { formsOf } from '../attack/servers/forms.ts'
import { listen } from '../attack/servers/hostile.ts'
import { loadAgentKey } from '../../src/identity/key.ts'
import { offerEcho } from '../attack/servers/echo.ts'
import { secretOf } from '../../src/credential/secret.ts'
import { signProof } from '../../src/identity/proof.ts'
import { startCollector, type Collector } from './collector.ts'
import { toNodeHandler } from '@modelcontextprotocol/node'
import { world, type World } from '../world.ts'
import type { JsonObject } from '../../src/lib/json.ts'

/**
 * Marks are put wherever an agent, a server or a person can put text: arguments, results, errors, names that nobody
 * registered, URIs, ids, trace contexts, a purpose, a reason, a secret. Then everything that the broker tells those who
 * watch is searched for them: exported spans and metrics, `/metrics`, the structured log.
 */

const secret = 'sEcr3t/Ob+5"serve<d>=9qZ'
const mark = (what: string): string => `CANARY-${what}`

let w: World
let collector: Collector
const lines: string[] = []
const ends: (() => Promise<unknown>)[] = []

const bearer = async (): Promise<string> => {
  const key = await loadAgentKey(w.home, 'agent')
  const audience = new URL('/token', w.broker.urls.agents).href
  const response = await fetch(audience, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      authorization_details: JSON.stringify([{ type: 'task', words: mark('purpose') }]),
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: await signProof({ agent: 'agent', key, audience, now: Date.now() }),
    }),
  })
  const body: unknown = await response.json()
  assert.ok(typeof body === 'object' && body !== null && 'access_token' in body, JSON.stringify(body))
  return String(body.access_token)
}

const meta: JsonObject = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientCapabilities': {},
  'io.modelcontextprotocol/clientInfo': { name: mark('client'), version: mark('version') },
  tracestate: `vendor=${mark('tracestate')}`,
  baggage: `person=${mark('baggage')}`,
  [mark('meta')]: mark('meta'),
}

before(async () => {
  collector = await startCollector()
  const serve = toNodeHandler(createMcpHandler(() => offerEcho(() => secret), { legacy: 'stateless' }))
  const { url, stop } = await listen((request, response) => {
    const { method = 'GET', url = '/', headers } = request
    void serve(
      { method, url, headers, [Symbol.asyncIterator]: () => request[Symbol.asyncIterator]() },
      response,
    )
  })
  ends.push(stop)
  w = await world({
    servers: {
      echo: { url: `${url}/mcp`, headers: { authorization: 'Bearer ${secret:marked}' } },
      gone: { command: process.execPath, args: ['-e', `throw new Error('${mark('stderr')}')`] },
    },
    config: {
      policy: { starter: 'guarded' },
      observe: {
        level: 'debug',
        otlp: {
          endpoint: collector.url,
          metricsSeconds: 1,
          headers: { 'x-token': 'secret:receiver' },
        },
        traces: { incoming: 'parent' },
      },
    },
    onLog: (line) => void lines.push(line),
    unreviewed: true,
  })
  const by = { name: 'operator', proof: 'terminal' }
  await w.broker.core.vault.set('marked', secretOf(secret), by)
  await w.broker.api({ method: 'POST', path: '/v1/servers/echo/refresh', level: 'terminal' })
  await w.reviewAll({ 'echo/get_error': { effects: ['write'] } })
})
after(() => Promise.allSettled([w.close(), collector.close(), ...ends.map((end) => end())]))

async function play(): Promise<void> {
  const token = await bearer()
  const headers = { traceparent: mark('header'), 'user-agent': mark('user-agent'), baggage: mark('baggage') }
  const call = (method: string, params: JsonObject, id: number | string = 1) =>
    w.post({ jsonrpc: '2.0', id, method, params: { ...params, _meta: meta } }, { token, headers })
  const tool = (name: string, more: JsonObject = {}, id: number | string = 1) =>
    call('tools/call', { name, arguments: more }, id)
  for (const name of ['get_result', 'get_fault', 'get_progress', 'get_noise']) await tool(`echo__${name}`)
  await tool('echo__get_result', { [mark('argument')]: mark('value') })
  await tool('echo__get_result', {}, mark('id'))
  await tool(`echo__${mark('tool')}`)
  await tool(`${mark('server').toLowerCase()}__x`)
  await call('prompts/get', { name: 'echo__draft', arguments: {} })
  await call('prompts/get', { name: `echo__${mark('prompt')}` })
  await call('resources/read', { uri: `countersign+echo:echo://dump?${mark('uri')}` })
  await call('tools/list', { cursor: mark('cursor') })
  await call(mark('method'), {})
  await w.post(
    { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'x', _meta: meta } },
    { token: mark('token') },
  )
  const asked = tool('echo__get_error', {}, 77)
  const ask = await w.nextAsk()
  await w.broker.core.approvals.answer(ask.id, {
    answer: 'approve',
    reason: mark('reason'),
    by: { name: 'operator', proof: 'terminal' },
    proof: 'terminal',
  })
  await asked
  await w.broker.api({
    method: 'POST',
    path: '/v1/revocations',
    body: { key: `tool:echo/${mark('revoked')}`, reason: mark('why') },
    level: 'terminal',
  })
  w.broker.observer.fault(new Error(mark('fault')))
}

describe('what watchers are told', () => {
  it('holds no mark of anybody, in no form', async () => {
    await play()
    const metrics = await fetch(new URL('/metrics', w.broker.urls.operators), {
      headers: { authorization: `Bearer ${w.broker.operatorKey}` },
    }).then((response) => response.text())
    await collector.until((one) =>
      one.spans().some(({ attributes }) => attributes['jsonrpc.request.id'] === '77') &&
      one.metrics().has('countersign.refusals')
        ? one
        : undefined,
    )
    const told = { spansAndMetrics: collector.bodies.join('\n'), metrics, log: lines.join('') }
    const marks = { ...formsOf(secret), mark: 'CANARY', lower: 'canary' }
    for (const [where, bytes] of Object.entries(told)) {
      assert.ok(bytes.length > 2_000, `${where} says something`)
      for (const [form, text] of Object.entries(marks))
        assert.ok(!bytes.includes(text), `${form} in ${where}`)
    }
  })

  it('and says all the same what happened: who, which tool, how it ended, why not', () => {
    const said = lines.map((line): { readonly [field: string]: unknown } => JSON.parse(line))
    const ends = new Set(said.map(({ event, tool, end }) => `${event} ${tool} ${end}`))
    for (const line of [
      'call echo/get_result ok',
      'call echo/get_fault failed',
      'call echo/prompt:draft ok',
      'refused undefined unknown-tool',
      'refused undefined unauthenticated',
      'refused echo/get_error approval-required',
      'call echo/get_error failed',
    ])
      assert.ok(ends.has(line), `${line} in\n${[...ends].join('\n')}`)
    const traced = said.find(({ event }) => event === 'call')
    assert.match(String(traced?.['trace']), /^[0-9a-f]{32}$/)
    assert.ok(collector.spans().some(({ traceId }) => traceId === traced?.['trace']))
  })
})

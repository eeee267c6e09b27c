import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { createMcpHandler } from '@modelcontextprotocol/server'
import { endings, folder } from './play.ts'
import { formsOf } from './servers/forms.ts'
import { join, resolve } from 'node:path'
import { listen } from './servers/hostile.ts'
import { offerEcho } from './servers/echo.ts'
import { startHouse, type House } from './servers/house.ts'
import { toNodeHandler } from '@modelcontextprotocol/node'
import { writeFile } from 'node:fs/promises'
import { isJsonObject, type JsonObject } from '../../src/lib/json.ts'

/**
 * I5. A marked secret is lent, as a header to one server and as environment to another; both say it in every way they
 * can. Then all bytes that left are searched for it, plain and encoded. Also incidents 15 and 19: what a runner holds.
 */

const byHeader = 'hdr-Mk7/xQ+91"z<v>=4tB'
const byEnvironment = 'env-Mk7/wR+58"y<u>=2sC'
const forms = { ...prefixed('header', byHeader), ...prefixed('environment', byEnvironment) }

function prefixed(by: string, secret: string): { readonly [name: string]: string } {
  return Object.fromEntries(Object.entries(formsOf(secret)).map(([form, text]) => [`${by}, ${form}`, text]))
}
const found = (bytes: Buffer | string): readonly string[] => {
  const text = typeof bytes === 'string' ? bytes : bytes.toString('latin1')
  return Object.entries(forms).flatMap(([name, form]) => (text.includes(form) ? [name] : []))
}

const ends = endings()
let house: House
const heard: { header: string } = { header: '' }
let told: JsonObject = {}
const answers: { [what: string]: string } = {}
before(async () => {
  const scratch = ends.add(await folder())
  const home = join(scratch.path, 'home')
  const handler = createMcpHandler(() => offerEcho(() => heard.header.replace('Bearer ', '')), {
    legacy: 'stateless',
  })
  const serve = toNodeHandler(handler)
  const { url, stop } = await listen((request, response) => {
    heard.header = request.headers.authorization ?? ''
    const { method = 'GET', url = '/', headers } = request
    void serve(
      { method, url, headers, [Symbol.asyncIterator]: () => request[Symbol.asyncIterator]() },
      response,
    )
  })
  ends.add({ close: async () => (await handler.close(), stop()) })
  const config = join(scratch.path, 'countersign.json')
  const echoing = resolve(import.meta.dirname, 'servers/echoing.ts')
  const servers = {
    header: { url: `${url}/mcp`, headers: { authorization: 'Bearer ${secret:by-header}' } },
    environment: { command: process.execPath, args: [echoing], env: { ECHO_TOKEN: 'secret:by-environment' } },
    telling: {
      command: process.execPath,
      args: [echoing],
      env: { ECHO_TOKEN: 'secret:by-environment', TELLING: 'yes' },
    },
  }
  const listening = { agents: '127.0.0.1:0', operators: '127.0.0.1:0' }
  await writeFile(
    config,
    JSON.stringify({
      home,
      operator: 'operator',
      listen: listening,
      servers,
      agents: { agent: {} },
      policy: { starter: 'observe' },
      audit: { checkpointMs: 100 },
    }),
  )
  house = ends.add(await startHouse(config, home))
  await house.operate('PUT', '/v1/secrets/by-header', { value: byHeader })
  await house.operate('PUT', '/v1/secrets/by-environment', { value: byEnvironment })
  for (const server of ['header', 'environment']) {
    await house.operate('POST', `/v1/servers/${server}/refresh`)
    const { tools } = await house.operate('GET', `/v1/tools?server=${server}&state=quarantined`)
    for (const tool of Array.isArray(tools) ? tools : []) {
      if (!isJsonObject(tool)) continue
      await house.operate('POST', `/v1/tools/${encodeURIComponent(String(tool['id']))}/review`, {
        digest: tool['digest'],
        accept: true,
      })
    }
    for (const tool of ['get_result', 'get_error', 'get_fault', 'get_progress', 'get_noise'])
      answers[`${server} ${tool}`] = await house.ask('tools/call', {
        name: `${server}__${tool}`,
        arguments: {},
      })
    answers[`${server} prompt`] = await house.ask('prompts/get', { name: `${server}__draft` })
  }
  told = await house.operate('POST', '/v1/servers/telling/refresh')
  answers['lists'] = await house.ask('tools/list', {})
  const { resources } =
    JSON.parse(/\{.*\}/s.exec(await house.ask('resources/list', {}))?.[0] ?? '{}').result ?? {}
  for (const { uri } of resources ?? []) answers[uri] = await house.ask('resources/read', { uri })
})
after(() => ends.close())

test('the servers were really lent the secrets and really said them', () => {
  assert.equal(heard.header, `Bearer ${byHeader}`)
  for (const server of ['header', 'environment']) {
    assert.match(answers[`${server} get_result`] ?? '', /before \[secret\] after/)
    assert.match(answers[`${server} get_error`] ?? '', /401 with \[secret\]/)
    assert.match(answers[`${server} get_progress`] ?? '', /progress was made/)
    assert.match(answers[`${server} get_noise`] ?? '', /noise was made/)
    assert.match(answers[`${server} prompt`] ?? '', /\[secret\]/)
  }
  assert.ok(Object.keys(answers).length >= 15, Object.keys(answers).join())
})

test('no answer to the agent holds a lent secret, in results, errors, faults, progress, prompts, resources or lists, in no form', () => {
  for (const [what, answer] of Object.entries(answers)) assert.deepEqual(found(answer), [], what)
})

test('no file of the broker holds a secret: not the store, not the payloads, not the published log, not the run file', async () => {
  const files = await house.bytes()
  assert.ok(files.some(({ path }) => path.includes('/log/tile/')))
  assert.ok(files.some(({ path }) => path.endsWith('countersign.db')))
  for (const { path, bytes } of files) assert.deepEqual(found(bytes), [], path)
})

test('no answer of the operators’ API holds a secret, and no route reads one', async () => {
  for (const path of [
    '/v1/status',
    '/v1/servers',
    '/v1/tools',
    '/v1/secrets',
    '/v1/policy',
    '/v1/tasks',
    '/v1/agents',
    '/v1/asks',
    '/v1/revocations',
    '/v1/audit/recent?limit=500',
  ])
    await house.operate('GET', path)
  await assert.rejects(house.operate('GET', '/v1/secrets/by-header'), /method-not-allowed|not-found/)
  await assert.rejects(house.operate('PUT', '/v1/secrets/Bad Name', { value: byHeader }))
  await assert.rejects(house.operate('PUT', '/v1/secrets/by-header', { value: { odd: byHeader } }))
  for (const answer of house.answers) assert.deepEqual(found(answer), [])
})

test('a server that says its secret in a definition is not listed: models and people would read it there', () => {
  assert.equal(told['listed'], false)
  assert.deepEqual(told['tools'], [])
})

test('what the broker prints, and what its servers print to stderr, holds no secret', () => {
  assert.ok(house.printed().length > 0)
  assert.deepEqual(found(house.printed()), [])
})

test('the log says which secrets were lent and how often they were redacted, by name, and keeps no digest of the unredacted answer', async () => {
  const { entries } = await house.operate('GET', '/v1/audit/recent?limit=500&kind=outcome')
  const lines = JSON.stringify(entries)
  assert.match(lines, /"redacted":\{"by-header":\d+\}/)
  assert.match(lines, /"redacted":\{"by-environment":\d+\}/)
  assert.match(lines, /"secrets":\["by-header"\]/)
  for (const secret of [byHeader, byEnvironment])
    assert.equal(lines.includes(createHash('sha256').update(secret).digest('hex')), false)
})

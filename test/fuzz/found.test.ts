import assert from 'node:assert/strict'
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { test, type TestContext } from 'node:test'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { checkParams } from '../../src/door/mcp/headers.ts'
import { createIssuer } from '../../src/identity/issuer.ts'
import { createKey } from '../../src/identity/key.ts'
import { createListener } from '../../src/door/listener.ts'
import { createProofs } from '../../src/identity/proof.ts'
import { createSchemas } from '../../src/registry/schema.ts'
import { define } from '../../src/registry/define.ts'
import { draftOf } from '../../src/adopt/draft.ts'
import { entriesIn } from '../../src/adopt/entry.ts'
import type { Json, JsonObject } from '../../src/lib/json.ts'
import { loadConfig } from '../../src/config/load.ts'
import { makeTask } from '../../src/task/open.ts'
import { mirroredArguments } from '../../src/server/mirror.ts'
import { normalPath, normalUrl } from '../../src/policy/target.ts'
import { parseUri } from '../../src/registry/uri.ts'
import { readUri } from '../../src/door/mcp/name.ts'
import { send } from '../../fuzz/raw.ts'
import { split } from '../../src/policy/split.ts'
import { vet } from '../../src/registry/vet.ts'

/** What fuzzing found, each as the sentence that was not true before. */

test('patterns that are large together refuse a schema, and long text against a large one runs out of fuel', () => {
  const names = Array.from({ length: 250 }, (_, i) => `(?:[ab]*a[ab]{${i + 50}})$`)
  const many: JsonObject = {
    type: 'object',
    patternProperties: Object.fromEntries(names.map((name) => [name, true])),
  }
  assert.match(JSON.stringify(vet(many)), /too large together/)
  const schemas = createSchemas()
  const one: JsonObject = { type: 'object', properties: { a: { pattern: '(?:[ab]*a[ab]{300})$' } } }
  const told = (text: string) => JSON.stringify(schemas.check(one, { a: text }))
  assert.match(told('ab'.repeat(60_000)), /too long to check/)
  assert.match(told('ab'.repeat(1_000)), /expected text that matches/)
  const name: JsonObject = { type: 'object', patternProperties: { '(?:[ab]*a[ab]{300})$': true } }
  assert.match(
    JSON.stringify(schemas.check(name, { ['ab'.repeat(60_000)]: 1 })),
    /too long to check/,
    'a long name costs as much as a long text',
  )
})

test('a tool that the registry keeps has headers that the wire can judge, however deep its schema is', () => {
  let deep: Json = { type: 'string' }
  for (let level = 0; level < 40; level++) deep = { items: deep }
  const inputSchema = {
    type: 'object',
    properties: { region: { type: 'string', 'x-mcp-header': 'Region' }, deep },
  }
  const { definitions } = define({ tools: [{ name: 'a', inputSchema }] })
  assert.equal(definitions.length, 1)
  assert.deepEqual(mirroredArguments(inputSchema), [{ path: ['region'], name: 'Region' }])
})

test('a header that repeats an argument which is not there is refused', () => {
  const schema = { properties: { region: { type: 'string', 'x-mcp-header': 'Region' } } }
  const by = { schema, mirrors: mirroredArguments }
  const header = (name: string) => (name === 'mcp-param-region' ? 'eu' : null)
  assert.match(checkParams(by, {}, header)?.message ?? '', /is not$/)
  assert.equal(checkParams(by, { region: 'eu' }, header), null)
  assert.equal(
    checkParams(by, {}, () => null),
    null,
  )
})

test('a mirrored argument that comes twice is refused before anything reads it', async (t) => {
  const listener = createListener({
    name: 'test',
    host: '127.0.0.1',
    port: 0,
    routes: async (exchange) => exchange.answer(200, { region: exchange.header('mcp-param-region') }),
  })
  const { port } = await listener.listen()
  t.after(() => listener.close())
  const post = async (more: string) => {
    const request = `GET / HTTP/1.1\r\nHost: localhost\r\n${more}\r\n`
    return (await send(port, Buffer.from(request), { expected: 1, patienceMs: 2_000 })).answers[0]?.status
  }
  assert.equal(await post('Mcp-Param-Region: eu\r\nMcp-Param-Region: us\r\n'), 400)
  assert.equal(await post('Mcp-Param-Region: eu\r\nMcp-Param-Zone: us\r\n'), 200)
})

const surroundings = {
  client: 'claude-code',
  platform: 'linux',
  home: '/home/user',
  folder: null,
  variables: {},
} as const
const draft = (entry: Json) => {
  const place = { client: 'claude-code', form: 'mcp-servers', path: '/x', project: null } as const
  const [found] = entriesIn(place, JSON.stringify({ mcpServers: { a: entry } })).entries
  assert.ok(found)
  return draftOf(found, { surroundings, inherit: {}, environmentFile: () => null })
}
const why = (entry: Json): string => {
  const drafted = draft(entry)
  return drafted.ok ? '' : drafted.why
}

test("an entry of a client that nobody can read stays, and adopt goes on with the others'", () => {
  assert.match(why({ url: 'https://a.example/mcp', type: { a: 1 } }), /transport/)
  assert.match(why({ url: 'https://a.example/mcp', headers: { X: '\ud800' } }), /Unicode/)
  assert.match(why({ url: 'https://%zz:x@a.example/mcp' }), /not well encoded/)
})

test('an entry of a client whose transport is a secret in the wrong place does not say it', () => {
  const said = why({ url: 'https://a.example/mcp', type: 'cs-canary' })
  assert.match(said, /transport/)
  assert.doesNotMatch(said, /canary/)
})

test('a variable `constructor` is set nowhere', () => {
  assert.match(why({ command: 'node', args: ['${constructor}'] }), /not set here/)
  const remote = draft({
    command: 'npx',
    args: ['mcp-remote', 'https://a.example/mcp', '--header', 'X: ${toString}'],
    env: {},
  })
  assert.equal(remote.ok, false)
})

const folder = async (t: TestContext): Promise<string> => {
  const made = await mkdtemp(join(tmpdir(), 'countersign-found-'))
  t.after(() => rm(made, { recursive: true, force: true }))
  return made
}

test('a key `__proto__` does not bring a command into a configuration that shows none', async (t) => {
  const file = join(await folder(t), 'countersign.jsonc')
  await writeFile(file, '{ "servers": { "a": { "__proto__": { "command": "evil" } } } }')
  assert.throws(() => loadConfig(file), /line 1, column 23: `__proto__` is no key/)
})

test('a task cannot be given times that the store could write and never read again', () => {
  const template = { purposeClass: 'general', environment: 'development', tools: ['*'], budget: {}, lifetimeMs: 1000, idleMs: 0 } // prettier-ignore
  const make = (request: { readonly idleMs?: number }, of = template) =>
    makeTask({
      id: 't_1',
      agent: { name: 'coder', owner: 'owner', template: of },
      request,
      parent: null,
      purposes: ['general'],
      context: {},
      byPerson: true,
      now: 0,
    })
  assert.match(JSON.stringify(make({ idleMs: 9_007_199_254_740_991_000 })), /within ten years/)
  assert.match(JSON.stringify(make({}, { ...template, lifetimeMs: 1e300 })), /within ten years/)
  assert.match(JSON.stringify(make({}, { ...template, lifetimeMs: 0.5 })), /whole milliseconds/)
  assert.equal(make({ idleMs: 60_000 }).ok, true)
})

const seconds = 1_800_000_000
const forge = (header: Json, payload: Json, by: (body: string) => Buffer): string => {
  const part = (value: Json) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const body = `${part(header)}.${part(payload)}`
  return `${body}.${by(body).toString('base64url')}`
}

test('a token of another issuer whose type or name is no text is refused or named, never a fault', async (t) => {
  const base = await folder(t)
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwk = createPublicKey(privateKey).export({ format: 'jwk' })
  await writeFile(join(base, 'keys.json'), JSON.stringify({ keys: [jwk] }))
  const issuer = await createIssuer(
    { issuer: 'https://i.example', audience: 'a', jwks: 'keys.json', algorithms: ['ES256'], claims: {}, agentClaim: 'sub', agents: ['coder'] },
    base,
  ) // prettier-ignore
  const payload = { iss: 'https://i.example', aud: 'a', sub: 'coder', task: 't_1', exp: seconds + 60 }
  const es256 = (body: string) =>
    sign('sha256', Buffer.from(body), { key: privateKey, dsaEncoding: 'ieee-p1363' })
  const read = (header: Json, more: JsonObject = {}) =>
    issuer.read(forge(header, { ...payload, ...more }, es256), seconds * 1000)
  const odd = await read({ alg: 'ES256', typ: ['JWT'] })
  assert.equal(odd.ok ? '' : odd.problem, 'malformed')
  const named = await read({ alg: 'ES256', typ: 'JWT' }, { jti: [''] })
  assert.ok(named.ok)
  assert.match(named.claims.tokenId, /^[\w-]{43}$/, 'the token itself is its name')
})

test('a proof whose `jti` is no text is refused, and one that ends between two milliseconds is kept to a whole one', async () => {
  const key = createKey()
  const used: number[] = []
  const proofs = createProofs({
    audience: 'http://127.0.0.1/token',
    agent: async (name) => ({
      name,
      owner: 'owner',
      publicKey: key.publicKey,
      state: 'active',
      createdAt: 0,
      template: { purposeClass: 'general', environment: 'development', tools: ['*'], budget: {}, lifetimeMs: 1, idleMs: 0 }, // prettier-ignore
    }),
    used: { useProof: async ({ until }) => used.push(until) > 0 },
    clock: { now: () => seconds * 1000 },
  })
  const secret = createPrivateKey({ key: { ...key.jwk }, format: 'jwk' })
  const proof = (more: JsonObject) =>
    proofs.verify(
      forge(
        { alg: 'EdDSA' },
        {
          iss: 'coder',
          sub: 'coder',
          aud: 'http://127.0.0.1/token',
          iat: seconds,
          exp: seconds + 30,
          ...more,
        },
        (body) => sign(null, Buffer.from(body), secret),
      ),
    )
  const numeric = await proof({ jti: 5 })
  assert.match(numeric.ok ? '' : numeric.detail, /`jti`/)
  const strange = await proof({ iss: '\uffff', sub: '\uffff', jti: 'a' })
  assert.doesNotMatch(strange.ok ? '\uffff' : strange.detail, /\uffff/, 'the log takes no such text')
  assert.equal((await proof({ jti: 'a', exp: seconds + 30.000_25 })).ok, true)
  assert.deepEqual(used, [(seconds + 35) * 1000 + 1])
})

test('a web address whose host is a lone dot has no host', () => {
  assert.equal(normalUrl('http://./').ok, false)
  const fine = normalUrl('http://a.example./x')
  assert.equal(fine.ok && fine.value.host, 'a.example')
})

test('a path that becomes another kind of place when it is written plainly is refused', () => {
  for (const path of ['i/../file:', './\u2028file:', ' file:///etc/passwd', './~/.ssh/id', 'a/../C:/x'])
    assert.equal(normalPath(path).ok, false, path)
  for (const path of ['file:etc/passwd', 'file:\\etc', 'file:///a\tb'])
    assert.equal(normalPath(path).ok, false, path)
  const fine = normalPath('file:///srv/a%20b')
  assert.equal(fine.ok && fine.value, '/srv/a b')
})

test('a folder named `~` or `c:` at the top does not hide the `..` behind it', () => {
  for (const path of ['/~/../etc/passwd', '/~root/../etc/passwd', '/e:/..', '/C:/../x'])
    assert.equal(normalPath(path).ok, false, path)
  const fine = normalPath('/srv/~/../x')
  assert.equal(fine.ok && fine.value, '/srv/x')
})

test('a web address has its host where every parser looks for it, and stays one when it is encoded', () => {
  for (const url of ['http:///1:', 'http:///a/b', 'https:a.example/x', 'http:/a', 'file:a/b'])
    assert.equal(normalUrl(url).ok, false, url)
  assert.equal(normalUrl(`file:///${'ä'.repeat(8_000)}`).ok, false)
})

test('a resource whose URI a browser reads to another host or path is not one', () => {
  const problem = (text: string) => 'problem' in parseUri(text)
  for (const uri of ['http:///a', 'http:a/b', 'http://0x7f.1/', 'https://a:080/', 'https://a@b@c/', 'file://C:/x', 'file:a'])
    assert.equal(problem(uri), true, uri)
  for (const uri of ['https://a.example', 'https://u@a.example:443/x', 'http://[::1]:80/', 'file://localhost/a', 'file:/a', 'file:////h/s', 'file:///C:/x', 'db://0x7f.1//x'])
    assert.equal(problem(uri), false, uri)
}) // prettier-ignore

test('a resource has one name at the endpoint of all servers, which is the one that is shown', () => {
  const read = (shown: string) => readUri({ kind: 'all' }, shown)
  assert.deepEqual(read('countersign+my+srv:x:y'), { server: 'my_srv', name: 'x:y' })
  assert.equal(read('countersign+my_srv:x:y'), null)
  assert.equal(read('countersign+my+:x'), null)
})

test('statements on one line keep their columns', () => {
  const { statements } = split('a;  b;\nc;')
  assert.deepEqual(
    statements.map(({ line, column }) => [line, column]),
    [
      [1, 1],
      [1, 5],
      [2, 1],
    ],
  )
})

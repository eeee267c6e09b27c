import assert from 'node:assert/strict'
import { configSchema } from '../../src/config/schema.ts'
import { databaseAddress, databaseProblem, publicUrlProblem } from '../../src/config/url.ts'
import { describe, test } from 'node:test'
import { join } from 'node:path'
import { loadConfig } from '../../src/config/load.ts'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'

describe('the address of a database', () => {
  test('is a user, a host and a database', () => {
    assert.deepEqual(databaseAddress('postgres://broker@db.example.com/countersign'), {
      host: 'db.example.com',
      port: 5432,
      user: 'broker',
      database: 'countersign',
    })
    assert.deepEqual(databaseAddress('postgresql://a%40b@[::1]:6432/d'), {
      host: '::1',
      port: 6432,
      user: 'a@b',
      database: 'd',
    })
    assert.equal(databaseAddress('postgres://u@%2Frun%2Fpostgresql/d').host, '/run/postgresql')
  })

  for (const [text, problem] of [
    ['postgres://u:secret@h/d', /no password in the URL.*`store\.passwordFile`/],
    ['postgres://u@h/d?password=secret', /no password in the URL/],
    ['postgres://u@h/d?sslmode=disable', /TLS is not an option/],
    ['postgres://h/d', /expected a user/],
    ['postgres://u@h', /expected one database/],
    ['postgres://u@h/d/e', /expected one database/],
    ['mysql://u@h/d', /expected `postgres:/],
    ['secret', /expected `postgres:/],
  ] as const)
    test(`not \`${text}\`, and nothing of it is quoted`, () => {
      const found = databaseProblem(text)
      assert.match(found ?? '', problem)
      assert.doesNotMatch(found ?? '', /secret/)
      assert.throws(() => databaseAddress(text), TypeError)
    })

  test('a file that holds a password says so at its place, and not the password', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'countersign-url-'))
    t.after(() => rm(folder, { recursive: true }))
    const file = join(folder, 'c.jsonc')
    await writeFile(file, '{\n  "store": { "postgres": "postgres://u:secret@h/d" }\n}')
    assert.throws(
      () => loadConfig(file),
      (problem: unknown) =>
        problem instanceof Error &&
        /line 2.*passwordFile/s.test(problem.message) &&
        !/secret/.test(problem.message),
    )
  })

  test('files under `store` and the folder of keys are relative to the configuration', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'countersign-url-'))
    t.after(() => rm(folder, { recursive: true }))
    const file = join(folder, 'c.jsonc')
    const store = { postgres: 'postgres://u@h/d', passwordFile: 'pw', ca: '/etc/ca.crt' }
    await writeFile(file, JSON.stringify({ keys: 'keys', store }))
    const { config } = loadConfig(file)
    assert.equal(config.keys, join(folder, 'keys'))
    assert.deepEqual(config.store, {
      ...store,
      passwordFile: join(folder, 'pw'),
      maxConnections: 8,
      answerMs: 15_000,
    })
  })
})

describe("the agents' address", () => {
  for (const text of ['https://tools.example.com', 'http://127.0.0.1:7316', 'https://[2001:db8::1]:8443'])
    test(`${text} is an origin`, () => assert.equal(publicUrlProblem(text), null))

  for (const [text, problem] of [
    ['https://tools.example.com/', /written as `https:\/\/tools\.example\.com`/],
    ['https://tools.example.com/mcp', /only scheme and host/],
    ['https://TOOLS.example.com:443', /written as `https:\/\/tools\.example\.com`/],
    ['https://u:secret@h', /no user or password/],
    ['tools.example.com', /expected a URL/],
  ] as const)
    test(`${text} is not`, () => assert.match(publicUrlProblem(text) ?? '', problem))

  test('the configuration takes no other', () => {
    assert.equal(configSchema.safeParse({ listen: { agentsUrl: 'https://h/x' } }).success, false)
  })
})

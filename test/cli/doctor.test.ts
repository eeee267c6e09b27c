import assert from 'node:assert/strict'
import { after, before, describe, test, type TestContext } from 'node:test'
import { addresses, doors, running } from '../../src/cli/doctor/listeners.ts'
import { chmod, cp, mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { cli } from './run.ts'
import { clock, disk, runtime } from '../../src/cli/doctor/machine.ts'
import { configSchema, type Config } from '../../src/config/schema.ts'
import { createKey } from '../../src/identity/key.ts'
import { createServer, type AddressInfo } from 'node:net'
import { createServer as createHttp } from 'node:http'
import { DatabaseSync } from 'node:sqlite'
import { examine } from '../../src/cli/doctor.ts'
import { issuers } from '../../src/cli/doctor/issuers.ts'
import { join } from 'node:path'
import { keyFiles } from '../../src/cli/doctor/keys.ts'
import { migrations } from '../../src/store/migrations.ts'
import { newSigningKey } from '../../src/audit/note.ts'
import { openLook, type Look } from '../../src/cli/doctor/look.ts'
import { randomBytes } from 'node:crypto'
import { schema } from '../../src/cli/doctor/store.ts'
import { secretOf } from '../../src/credential/secret.ts'
import { servers } from '../../src/cli/doctor/servers.ts'
import { tmpdir } from 'node:os'
import { world, type World } from '../world.ts'
import { writeRunFile } from '../../src/cli/run.ts'
import type { Check } from '../../src/cli/doctor/check.ts'

/** Each bad state is made, and the doctor names it with something to do. */

const folder = async (t: TestContext): Promise<string> => {
  const made = await mkdtemp(join(tmpdir(), 'countersign-doctor-'))
  t.after(() => rm(made, { recursive: true, force: true }))
  return made
}

const about = (checks: readonly Check[], what: string): Check => {
  const found = checks.find((check) => check.what === what)
  assert.ok(found, `no check of ${what} among ${checks.map((check) => check.what).join(', ')}`)
  return found
}

const shows = (check: Check, state: Check['state'], detail: RegExp, hint: RegExp = /^$/): void => {
  const said = `${check.state} ${check.what}: ${check.detail} | ${check.hint}`
  assert.equal(check.state, state, said)
  assert.match(check.detail, detail, said)
  assert.match(check.hint, hint, said)
}

const config = (given: object): Config => configSchema.parse(given)

describe('the machine', () => {
  test('an older Node is named', () => {
    shows(runtime('22.11.0'), 'bad', /v22/, /Node 24/)
    shows(runtime('24.0.0'), 'ok', /v24/)
  })

  const clocks = (wall: readonly number[], monotonic: readonly number[]) => {
    const [walls, steps] = [[...wall], [...monotonic]]
    return { wall: () => walls.shift() ?? 0, monotonic: () => steps.shift() ?? 0 }
  }
  const today = Date.UTC(2026, 10, 1)

  test('a clock in the past makes every token foreign', async () => {
    shows(await clock(clocks([0, 200], [0, 200])), 'bad', /1970.*past/, /set-ntp/)
  })
  test('a clock that is moved while it is looked at is told of', async () => {
    shows(await clock(clocks([today, today - 3000], [0, 200])), 'warning', /moved by -3200 ms/, /set-ntp/)
  })
  test('a monotonic clock that stands still is no clock', async () => {
    shows(await clock(clocks([today, today + 200], [5, 5])), 'bad', /does not go forward/, /restart/)
  })
  test('clocks that go together are well', async () => {
    shows(await clock(clocks([today, today + 201], [0, 200])), 'ok', /2026-11-01/)
  })

  test('a home that others can look into is bad', async (t) => {
    const home = await folder(t)
    await chmod(home, 0o755)
    shows(about(await disk(home), 'home'), 'bad', /others can look into/, /^chmod 700 /)
  })
  test('a home that cannot be written to is bad', async () => {
    shows(about(await disk('/proc'), 'sync'), 'bad', /nothing can be written/, /ls -ld \/proc/)
  })
  test('a disk that works says how long it takes, and nothing is left on it', async (t) => {
    const home = await folder(t)
    const checks = await disk(home)
    assert.match(about(checks, 'disk').detail, /GiB free/)
    assert.match(about(checks, 'sync').detail, /synced in \d+\.\d ms/)
    assert.deepEqual(await readdir(home), [])
  })
})

describe('a broker and what it left', () => {
  let here: World
  let kept: string | null = null
  /** A home as a broker left it, for a test to break. */
  const home = async (t: TestContext): Promise<string> => {
    const copy = join(await folder(t), 'home')
    assert.ok(kept !== null, 'the broker has to have ended')
    await cp(kept, copy, { recursive: true })
    await chmod(copy, 0o700)
    return copy
  }
  const change = (at: string, sql: string): void => {
    const database = new DatabaseSync(join(at, 'store', 'countersign.db'))
    database.exec(sql)
    database.close()
  }
  const look = (at: string) => examine({ home: at, configFile: null })

  before(async () => {
    here = await world()
    const by = { name: 'operator', proof: 'terminal' }
    await here.broker.core.vault.set('tracker', secretOf('a value'), by)
  })
  after(async () => {
    if (kept === null) await here.close()
    else await rm(kept, { recursive: true, force: true })
  })

  test('while it runs all is well but for the passphrase, and nothing is disturbed', async () => {
    const { out, exit } = await cli(['doctor', '--json', '--home', here.home])
    const told: unknown = JSON.parse(out)
    assert.ok(typeof told === 'object' && told !== null && 'ok' in told && 'checks' in told)
    assert.equal(told.ok, true, out)
    assert.equal(exit, 0)
    const checks = await look(here.home)
    shows(about(checks, 'broker'), 'ok', /http:\/\/127/)
    shows(about(checks, 'same keys'), 'ok', /those that wrote/)
    shows(about(checks, 'schema'), 'ok', /version \d/)
    shows(about(checks, 'server playground'), 'ok', /answers/)
    shows(about(checks, 'log'), 'ok', /entries, consistent/)
    shows(about(checks, 'passphrase'), 'warning', /not set/, /press p/)
    assert.deepEqual(here.faults, [])
  })

  test('everything that was stopped is told of', async () => {
    const by = { name: 'operator', proof: 'terminal' }
    await here.broker.core.revocations.revoke({ key: 'all', reason: 'test' }, by)
    shows(about(await look(here.home), 'stopped'), 'warning', /every call is refused/, /revoke lift all/)
    await here.broker.core.revocations.lift({ key: 'all', reason: 'test' }, by)
  })

  test('another operator token than the one it was started with', async () => {
    const path = join(here.home, 'operator.token')
    const right = await readFile(path, 'utf8')
    await writeFile(path, randomBytes(32).toString('base64url'))
    try {
      const checks = await look(here.home)
      shows(about(checks, 'broker'), 'bad', /does not take `operator.token`/, /start it again/)
      shows(about(checks, 'same keys'), 'bad', /operator/, /the keys of the others/)
    } finally {
      await writeFile(path, right)
    }
  })

  test('after it ended the same is seen without it', async () => {
    await here.broker.publisher.tick()
    kept = await mkdtemp(join(tmpdir(), 'countersign-kept-'))
    const { home: at } = here
    await here.broker.close()
    await cp(at, kept, { recursive: true })
    const checks = await look(at)
    shows(about(checks, 'broker'), 'warning', /not running/, /countersign serve/)
    shows(about(checks, 'same keys'), 'ok', /wrote/)
    shows(about(checks, 'passphrase'), 'warning', /not set/, /countersign passphrase/)
    await rm(at, { recursive: true })
    await mkdir(at)
    await here.playground.close()
  })

  for (const [name, loss] of [
    ['seal.key', /no stored secret opens/],
    ['log.pem', /cannot be continued/],
    ['broker.key', /equal writes/],
  ] as const)
    test(`${name} is gone`, async (t) => {
      const at = await home(t)
      await rm(join(at, 'keys', name))
      shows(about(await look(at), name), 'bad', loss, /back from a backup/)
      // It is told, not made anew.
      assert.ok(!(await readdir(join(at, 'keys'))).includes(name))
    })

  test('a key that others can read', async (t) => {
    const at = await home(t)
    await chmod(join(at, 'keys', 'token.jwk'), 0o644)
    shows(about(await look(at), 'token.jwk'), 'bad', /can be read by others/, /^chmod 600 /)
  })

  test('a key that is no key is not quoted', async (t) => {
    const at = await home(t)
    await writeFile(join(at, 'keys', 'log.pem'), 'not a secret that should be seen\n')
    const check = about(await look(at), 'keys')
    shows(check, 'bad', /no Ed25519 key/, /backup/)
    assert.doesNotMatch(check.detail, /should be seen/)
  })

  for (const [name, other] of [
    ['seal', () => randomBytes(32).toString('base64')],
    ['token', () => JSON.stringify(createKey().jwk)],
    ['log', () => newSigningKey()],
    ['broker', () => randomBytes(32).toString('base64url')],
  ] as const)
    test(`another ${name} key than the one that wrote into the store`, async (t) => {
      const at = await home(t)
      const file = { seal: 'seal.key', token: 'token.jwk', log: 'log.pem', broker: 'broker.key' }[name]
      await writeFile(join(at, 'keys', file), other())
      shows(about(await look(at), 'same keys'), 'bad', new RegExp(`other keys.*${name}`), /of the others/)
    })

  test('a stored secret that does not open, though the key has the right name', async (t) => {
    const at = await home(t)
    change(at, "update secrets set sealed = zeroblob(60) where name = 'tracker'")
    shows(about(await look(at), 'same keys'), 'bad', /`tracker` does not open/, /backup/)
  })

  test('a schema of a newer program', async (t) => {
    const at = await home(t)
    change(at, "insert into migrations (version, checksum, applied_at) values (99, 'x', 0)")
    shows(about(await look(at), 'schema'), 'bad', /version 99/, /newer program/)
  })
  test('a schema of another program', async (t) => {
    const at = await home(t)
    change(at, "update migrations set checksum = 'x' where version = 1")
    shows(about(await look(at), 'schema'), 'bad', /different program/, /that wrote it/)
  })
  test('a schema that the next start will change', async (t) => {
    const look_ = await openLook({ home: await home(t) })
    assert.ok(look_)
    const next = [...migrations, { version: 1000, about: 'a next one', sql: ['select 1'] }]
    shows(await schema(look_, next), 'warning', /no way back/, /backup/)
    await look_.close()
  })

  test('a store that is no database', async (t) => {
    const at = await home(t)
    await writeFile(join(at, 'store', 'countersign.db'), 'garbage '.repeat(1000))
    shows(about(await look(at), 'store'), 'bad', /no database/, /put a backup back/)
  })
  test('a store that others can read', async (t) => {
    const at = await home(t)
    await chmod(join(at, 'store', 'countersign.db'), 0o644)
    shows(about(await look(at), 'store'), 'bad', /payloads included/, /chmod 600/)
  })
  test('a time in the store that lies ahead of this clock', async (t) => {
    const at = await home(t)
    change(at, `insert into brokers (broker, seen_at) values ('b_other', ${Date.now() + 60_000})`)
    shows(about(await look(at), 'written'), 'bad', /(59|60) s ahead/, /set-ntp/)
  })

  test('a log that was changed after it was published', async (t) => {
    const at = await home(t)
    const tiles = join(at, 'log', 'tile', 'entries')
    const [name = ''] = (await readdir(tiles, { recursive: true }))
      .filter((one) => /\d$/.test(one))
      .toSorted()
    const found = join(tiles, name)
    const bytes = await readFile(found)
    bytes[20] = (bytes[20] ?? 0) ^ 1
    await writeFile(found, bytes)
    shows(about(await look(at), 'log'), 'bad', /./, /audit verify/)
  })
  test('a published log of another key', async (t) => {
    const at = await home(t)
    await writeFile(join(at, 'keys', 'log.pem'), newSigningKey())
    shows(about(await look(at), 'log'), 'bad', /./, /audit verify/)
  })
  test('a store that is shorter than the log that was published from it', async (t) => {
    const at = await home(t)
    change(at, "delete from entries where idx > 0; update heads set value = 1 where name = 'log'")
    shows(about(await look(at), 'log'), 'bad', /are published, the store holds/, /audit verify/)
  })

  test('a bad state is the exit code and a line with what to do', async (t) => {
    const at = await home(t)
    await chmod(join(at, 'keys', 'token.jwk'), 0o644)
    const { out, exit } = await cli(['doctor', '--home', at])
    assert.equal(exit, 1)
    assert.match(out, /^bad +token\.jwk +.*hint: chmod 600/m)
    assert.match(out, /^bad +server playground +.*ECONNREFUSED/m)
    assert.match(out, /^2 bad, \d+ to look at$/m)
  })
})

describe('the configuration', () => {
  test('one that is not sound is told with its place, and the rest is still looked at', async (t) => {
    const at = await folder(t)
    const file = join(at, 'bad.jsonc')
    await writeFile(file, '{ "servers": { "x": { "comand": "y" } } }')
    const checks = await examine({ home: join(at, 'home'), configFile: file })
    shows(about(checks, 'config'), 'bad', /line 1.*`comand`/, /config\.md/)
    shows(about(checks, 'node'), 'ok', /v2/)
  })

  test('a policy that does not load is told with its place', async (t) => {
    const at = await folder(t)
    await writeFile(join(at, 'c.jsonc'), '{ "policy": { "dir": "policies" } }')
    const where = { home: join(at, 'home'), configFile: join(at, 'c.jsonc') }
    shows(about(await examine(where), 'policy'), 'bad', /cannot be read/, /./)
    await mkdir(join(at, 'policies'))
    await writeFile(join(at, 'policies', 'own.cedar'), 'permit (principal, action')
    shows(about(await examine(where), 'policy'), 'bad', /own\.cedar:1:/, /./)
  })

  test('keys in a folder of their own are wanted there before the first start', async (t) => {
    const at = await folder(t)
    const given = config({ home: join(at, 'home'), keys: join(at, 'keys') })
    shows(about(await keyFiles(given, false), 'log.pem'), 'bad', /not in/, /^countersign keys /)
    assert.equal((await cli(['keys', join(at, 'keys')])).exit, 0)
    shows(about(await keyFiles(given, false), 'log.pem'), 'ok', /private/)
    shows(about(await keyFiles(given, false), 'operator.token'), 'ok', /private/)
  })

  test('keys that are links which anybody could have placed', async (t) => {
    const at = await folder(t)
    await cli(['keys', join(at, 'real')])
    await mkdir(join(at, 'keys'))
    await symlink(join(at, 'real', 'log.pem'), join(at, 'keys', 'log.pem'))
    const given = config({ home: join(at, 'home'), keys: join(at, 'keys') })
    shows(about(await keyFiles(given, false), 'log.pem'), 'bad', /is a link/, /file itself/)
  })
})

describe('servers and issuers', () => {
  const of = async (server: object, look: Look | null = null): Promise<Check> => {
    const [check] = await servers(config({ servers: { s: server } }), look)
    assert.ok(check)
    return check
  }

  test('a program that is not there, or may not be run', async (t) => {
    shows(await of({ command: 'no-such-program-anywhere' }), 'bad', /no program/, /whole path/)
    const plain = join(await folder(t), 'plain')
    await writeFile(plain, '')
    shows(await of({ command: plain }), 'bad', /no program/, /install it/)
    await chmod(plain, 0o755)
    shows(await of({ command: plain }), 'ok', /plain/)
    shows(await of({ command: process.execPath, cwd: '/no/such/folder' }), 'bad', /folder/, /mkdir/)
  })

  test('reviews that cannot be read', async () => {
    shows(await of({ command: 'node', reviewed: '/no/such.json' }), 'bad', /reviews/, /ls -l/)
  })

  test('an address that is not allowed is not even looked up', async () => {
    shows(await of({ url: 'https://10.0.0.1/mcp' }), 'bad', /not public.*allowPrivate/, /`url`/)
    shows(await of({ url: 'http://example.com/mcp' }), 'bad', /expected https/, /`url`/)
  })

  test('a port on which nobody listens, and one on which nobody speaks TLS', async (t) => {
    const server = createServer((socket) =>
      socket
        .on('error', () => undefined)
        .resume()
        .end('no TLS here\n'),
    )
    const port = await listening(server)
    shows(await of({ url: `http://127.0.0.1:${port}/mcp` }), 'ok', /answers/)
    shows(await of({ url: `https://127.0.0.1:${port}/mcp` }), 'bad', new RegExp(String(port)), /./)
    await new Promise((done) => server.close(done))
    shows(await of({ url: `http://127.0.0.1:${port}/mcp` }), 'bad', /ECONNREFUSED/, /start it/)
    t.after(() => server.close())
  })

  test('a secret that is named and not stored', async (t) => {
    const at = join(await folder(t), 'home')
    assert.equal((await cli(['server', 'list', '--home', at])).exit, 0)
    const look = await openLook({ home: at })
    assert.ok(look)
    t.after(() => look.close())
    shows(
      await of({ url: 'http://127.0.0.1:9/mcp', headers: { a: 'Bearer ${secret:tracker}' } }, look),
      'bad',
      /`tracker` is not in the sealed store/,
      /countersign secret set tracker/,
    )
  })

  test('an issuer whose keys cannot be read', async (t) => {
    const at = await folder(t)
    const of_ = async (jwks: string) => {
      const issuer = { issuer: 'https://id.example.com', audience: 'a', jwks, agents: ['coder'] }
      return about(await issuers(config({ issuers: [issuer] }), at), 'issuer id.example.com')
    }
    shows(await of_('keys.json'), 'bad', /ENOENT/, /`jwks`/)
    await writeFile(join(at, 'keys.json'), '{"keys":[]}')
    shows(await of_('keys.json'), 'bad', /no keys/, /JWK set/)
    await writeFile(join(at, 'keys.json'), JSON.stringify({ keys: [createKey().publicKey] }))
    shows(await of_('keys.json'), 'ok', /1 key /)
    const closed = createServer()
    const port = await listening(closed)
    await new Promise((done) => closed.close(done))
    shows(await of_(`https://127.0.0.1:${port}/jwks`), 'bad', /ECONNREFUSED/, /open the way/)
  })
})

const listening = (server: ReturnType<typeof createServer>): Promise<number> =>
  new Promise((done) =>
    server.listen(0, '127.0.0.1', () => done((server.address() as AddressInfo | null)?.port ?? 0)),
  )

describe('listeners', () => {
  test('a port that another program has', async (t) => {
    const other = createServer()
    const port = await listening(other)
    t.after(() => other.close())
    const given = config({ listen: { agents: `127.0.0.1:${port}`, operators: '127.0.0.1:0' } })
    const meant = await addresses(given, { run: null, meant: true })
    shows(about(meant, 'listen.agents'), 'bad', /EADDRINUSE/, /ss -ltnp/)
    shows(about(meant, 'listen.operators'), 'ok', /free/)
    const unmeant = await addresses(given, { run: null, meant: false })
    shows(about(unmeant, 'listen.agents'), 'warning', /EADDRINUSE/, /listen\.agents/)
  })

  test('an address of another machine, and one that is none', async () => {
    const given = config({ listen: { agents: '192.0.2.1:7316', operators: 'localhost' } })
    const checks = await addresses(given, { run: null, meant: true })
    shows(about(checks, 'listen.agents'), 'bad', /EADDRNOTAVAIL/, /of this machine/)
    shows(about(checks, 'listen.operators'), 'bad', /expected an address and a port/, /127\.0\.0\.1:7316/)
  })

  test('every interface and nobody named', () => {
    const open = config({ listen: { agents: '0.0.0.0:7316' } })
    shows(about(doors(open), 'listen.agents'), 'warning', /names nobody/, /allowedHosts/)
    assert.deepEqual(
      doors(config({ listen: { agents: '0.0.0.0:7316', allowedHosts: ['tools.example.com'] } })),
      [],
    )
  })

  test('several nodes without a name of their own, and a name without TLS', () => {
    const store = { postgres: 'postgres://u@127.0.0.1/d' }
    shows(
      about(doors(config({ store })), 'listen.agentsUrl'),
      'warning',
      /foreign to the others/,
      /agentsUrl/,
    )
    const plain = config({ store, listen: { agentsUrl: 'http://tools.example.com' } })
    shows(about(doors(plain), 'listen.agentsUrl'), 'warning', /as they are/, /https/)
    assert.deepEqual(doors(config({ store, listen: { agentsUrl: 'https://tools.example.com' } })), [])
  })

  test('a broker that does not answer, and one of another version', async (t) => {
    const home = await folder(t)
    await writeFile(join(home, 'operator.token'), randomBytes(32).toString('base64url'), { mode: 0o600 })
    const closed = createServer()
    const port = await listening(closed)
    await new Promise((done) => closed.close(done))
    const run = { pid: process.pid, agents: `http://127.0.0.1:${port}`, startedAt: '2026-11-01T00:00:00Z' }
    await writeRunFile(home, { ...run, operators: `http://127.0.0.1:${port}` })
    const silent = await running({ home, keys: home, version: '1.0.0' })
    shows(silent.check, 'bad', /does not answer/, /start it again/)
    const older = createHttp((_, answer) => answer.end('{"version":"0.0.9"}'))
    t.after(() => older.close())
    const at = await listening(older)
    await writeRunFile(home, { ...run, operators: `http://127.0.0.1:${at}` })
    const other = await running({ home, keys: home, version: '1.0.0' })
    shows(other.check, 'warning', /it runs version 0\.0\.9, this is 1\.0\.0/, /start it again/)
  })
})

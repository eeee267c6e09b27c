import assert from 'node:assert/strict'
import { describe, test, type TestContext } from 'node:test'
import { execFile } from 'node:child_process'
import { join, resolve } from 'node:path'
import { loadConfig } from '../../src/config/load.ts'
import { loadKeys } from '../../src/compose/keys.ts'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'

const root = resolve(import.meta.dirname, '../..')
const folder = join(root, 'deploy/systemd')
const unit = readFileSync(join(folder, 'countersign.service'), 'utf8')

const settings = (text: string): readonly (readonly [string, string])[] =>
  text.split('\n').flatMap((line) => {
    const [, name, value] = /^([A-Za-z]+)=(.*)$/.exec(line) ?? []
    return name === undefined || value === undefined ? [] : [[name, value] as const]
  })
const all = settings(unit)
const of = (name: string): readonly string[] => all.filter(([one]) => one === name).map(([, value]) => value)

const scratch = async (t: TestContext): Promise<string> => {
  const made = await mkdtemp(join(tmpdir(), 'countersign-systemd-'))
  t.after(() => rm(made, { recursive: true, force: true }))
  return made
}

describe('the unit', () => {
  test('shows exactly the keys that a broker has, where its configuration looks for them', async (t) => {
    const keys = join(await scratch(t), 'keys')
    await loadKeys({ home: keys, keys })
    const shown = of('LoadCredential').map((one) => one.split(':')[0] ?? '')
    assert.deepEqual(shown.toSorted(), (await readdir(keys)).toSorted())
    const { config } = loadConfig(join(folder, 'countersign.jsonc'))
    assert.equal(config.keys, '/run/credentials/countersign.service')
    assert.equal(config.home, `/var/lib/${of('StateDirectory')[0]}`)
    assert.deepEqual(
      of('LoadCredential').filter((one) => !one.includes(':/etc/countersign/keys/')),
      [],
    )
  })

  test('listens where its configuration says, and nowhere else', () => {
    const { config } = loadConfig(join(folder, 'countersign.jsonc'))
    assert.deepEqual(of('SocketBindDeny'), ['any'])
    const ports = new Set(of('SocketBindAllow').map((one) => one.split(':').at(-1) ?? ''))
    const wanted = [config.listen.agents, config.listen.operators].map((one) => one.split(':').at(-1) ?? '')
    assert.deepEqual([...ports].toSorted(), wanted.toSorted())
  })

  test('gives neither rights nor a network to what it starts, and lets a server that eats memory end alone', () => {
    assert.deepEqual(of('CapabilityBoundingSet'), [''])
    assert.deepEqual(of('NoNewPrivileges'), ['yes'])
    assert.deepEqual(of('ProtectSystem'), ['strict'])
    assert.deepEqual(of('IPAddressDeny'), ['any'])
    assert.deepEqual(of('IPAddressAllow'), ['localhost'])
    assert.deepEqual(of('OOMPolicy'), ['continue'])
    assert.ok(of('MemoryMax').length === 1 && of('TasksMax').length === 1)
  })

  test('is stopped in order: the broker is told, and has longer than its calls may take', () => {
    const { config } = loadConfig(join(folder, 'countersign.jsonc'))
    const { drainSeconds, graceSeconds } = config.listen
    assert.deepEqual(of('KillMode'), ['mixed'])
    assert.ok(Number(of('TimeoutStopSec')[0]) >= drainSeconds + graceSeconds + 10)
  })
})

const analyze = (...args: readonly string[]): Promise<{ readonly out: string; readonly there: boolean }> =>
  new Promise((done) =>
    execFile('systemd-analyze', [...args], { timeout: 20_000 }, (problem, out, err) =>
      done({ out: `${out}${err}`, there: !(problem !== null && problem.code === 'ENOENT') }),
    ),
  )

describe('what systemd says of it', () => {
  test('it is sound', async (t) => {
    const at = join(await scratch(t), 'countersign.service')
    // The program is not installed where the tests run.
    await writeFile(at, unit.replace(/^ExecStart=\S+/m, `ExecStart=${process.execPath}`))
    const { out, there } = await analyze('verify', '--man=no', at)
    if (!there) return t.skip('systemd-analyze is not installed')
    assert.equal(out.replace(/^.*(?:countersign\.service\.d|Failed to connect to).*\n/gm, ''), '')
  })

  test('its exposure is 2.0 at most', async (t) => {
    const { out, there } = await analyze(
      'security',
      '--offline=true',
      '--threshold=20',
      join(folder, 'countersign.service'),
    )
    if (!there) return t.skip('systemd-analyze is not installed')
    const level = /Overall exposure level for countersign\.service: ([\d.]+)/.exec(out)?.[1]
    assert.ok(Number(level) <= 2, out.slice(-300))
  })
})

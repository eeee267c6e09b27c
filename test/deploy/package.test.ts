import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { execFile, spawn } from 'node:child_process'
import { join, resolve } from 'node:path'
import { tmpdir } from 'node:os'

/** The compiled program, laid out as the package lays it out: it runs from JavaScript, and finds what lies beside it. */

const root = resolve(import.meta.dirname, '../..')
let folder: string
const main = (): string => join(folder, 'dist/cli/main.js')

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-package-'))
  const compiler = join(root, 'node_modules/typescript/bin/tsc')
  const args = [compiler, '-p', join(root, 'tsconfig.build.json'), '--outDir', join(folder, 'dist')]
  await new Promise((done) => execFile(process.execPath, args, { timeout: 120_000 }, done))
  for (const one of ['package.json', 'policies', 'profiles'])
    await cp(join(root, one), join(folder, one), { recursive: true })
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
})
after(() => rm(folder, { recursive: true, force: true }))

const run = (...args: readonly string[]): Promise<{ readonly out: string; readonly code: number }> =>
  new Promise((done) =>
    execFile(process.execPath, [main(), ...args], { timeout: 60_000 }, (problem, out, err) =>
      done({ out: `${out}${err}`, code: problem === null ? 0 : Number(problem.code) }),
    ),
  )

describe('the package', () => {
  test('says its version', async () => {
    const manifest: unknown = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
    const { out, code } = await run('--version')
    assert.equal(code, 0, out)
    assert.equal(out.trim(), String(Reflect.get(Object(manifest), 'version')))
  })

  test('brings the profiles along', async () => {
    const { out, code } = await run('profile', 'show', 'github')
    assert.equal(code, 0, out)
    assert.match(out, /^create_issue /m)
  })

  test('serves: policies, workers and the store are found, SIGTERM ends it in order', async () => {
    const home = join(folder, 'home')
    await mkdir(home, { mode: 0o700 })
    const config = join(home, 'countersign.jsonc')
    await writeFile(
      config,
      '{ "home": ".", "listen": { "agents": "127.0.0.1:0", "operators": "127.0.0.1:0" } }',
    )
    const child = spawn(process.execPath, [main(), 'serve', '--config', config, '--json'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let said = ''
    child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
    const ended = new Promise<number | null>((done) => child.once('exit', done))
    const first = new Promise<string>((done, fail) => {
      child.stdout.once('data', (chunk: Buffer) => done(chunk.toString()))
      child.once('exit', (code) => fail(new Error(`ended with ${code}: ${said}`)))
    })
    try {
      assert.match(await first, /"agentsUrl":"http:\/\/127\.0\.0\.1:\d+\/mcp"/)
      const { out, code } = await run('doctor', '--config', config)
      assert.equal(code, 0, out)
      assert.match(out, /^ok +policy +guarded\.cedar/m)
      assert.match(out, /^ok +broker +http/m)
    } finally {
      child.kill('SIGTERM')
    }
    assert.equal(await ended, 0, said)
  })
})

import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { parse } from './requirements.ts'
import { spawn } from 'node:child_process'
import { tmpdir } from 'node:os'

/** The official suite of the MCP project, run as the program that it is; what it found is read from its files. */

export const revisions = ['2025-11-25', '2026-07-28'] as const
export type Revision = (typeof revisions)[number]

export type Status = 'SUCCESS' | 'FAILURE' | 'WARNING' | 'SKIPPED' | 'INFO'
export type Check = { readonly id: string; readonly status: Status; readonly message: string }
/** Scenario → what was checked in it; an id may come several times. */
export type Found = ReadonlyMap<string, readonly Check[]>

const home = resolve(import.meta.dirname, '../node_modules/@modelcontextprotocol/conformance')
/** The longest that one run of the suite may take. */
const suiteMs = 180_000
const scenarioMs = 20_000

/** The scenarios of a requirement set. `scored` ones make the verdict; the rest is run and reported. */
export async function requirementsOf(revision: Revision) {
  return parse(await readFile(join(home, 'requirements', `${revision}.yaml`), 'utf8'))
}

export async function suiteVersion(): Promise<string> {
  const { version }: { version: string } = JSON.parse(await readFile(join(home, 'package.json'), 'utf8'))
  return version
}

/** Every scenario that a revision requires of a server, and those that it runs beside them. */
export const runServerSuite = (url: string, revision: Revision): Promise<Found> =>
  run(['server', '--url', url, '--requirements', revision, '--timeout', String(scenarioMs)], 'server-')

/** One client scenario, played by `command`, to which the suite adds the address of the scenario's server. */
export async function runClientScenario(
  command: string,
  scenario: string,
  revision: Revision,
): Promise<readonly Check[]> {
  const options = ['--scenario', scenario, '--spec-version', revision, '--timeout', String(scenarioMs * 3)]
  const found = await run(['client', '--command', command, ...options], '')
  return found.get(scenario) ?? []
}

async function run(args: readonly string[], prefix: string): Promise<Found> {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-suite-'))
  try {
    await started(['--no-deprecation', join(home, 'dist/index.js'), ...args, '-o', folder])
    return await read(folder, prefix)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Its exit code says that something failed, which is what it is asked for. */
function started(args: readonly string[]): Promise<void> {
  return new Promise((done, reject) => {
    const child = spawn(process.execPath, args, { stdio: 'ignore' })
    const timer = setTimeout(() => child.kill('SIGKILL'), suiteMs)
    child.once('error', reject)
    child.once('close', (_code, signal) => {
      clearTimeout(timer)
      if (signal === null) done()
      else reject(new Error(`the suite was ended after ${suiteMs} ms; run it alone to see where it stands`))
    })
  })
}

const stamp = /-\d{4}-\d\d-\d\dT[\d-]+Z$/

/** `<prefix><scenario>-<time>/checks.json`; the scenario's own slashes make folders. */
async function read(folder: string, prefix: string): Promise<Found> {
  const found = new Map<string, readonly Check[]>()
  for (const path of await readdir(folder, { recursive: true })) {
    if (!path.endsWith('/checks.json')) continue
    const scenario = path.slice(0, -'/checks.json'.length).replace(stamp, '').slice(prefix.length)
    const checks: unknown = JSON.parse(await readFile(join(folder, path), 'utf8'))
    found.set(scenario, Array.isArray(checks) ? checks.map(readCheck) : [])
  }
  return found
}

const readCheck = (check: {
  readonly id: string
  readonly status: Status
  readonly errorMessage?: string
}): Check => ({
  id: check.id,
  status: check.status,
  message: check.errorMessage ?? '',
})

import { exitCodes, Failure } from './output.ts'
import { isJsonObject } from '../lib/json.ts'
import { join } from 'node:path'
import { PrivateFileError, readPrivate, writePrivate } from '../identity/private.ts'
import { rm } from 'node:fs/promises'

/** How commands find the running broker: `<home>/run.json`, 0600, there while it runs. */
export type RunFile = {
  readonly pid: number
  /** Base URL of the agents' listener, for example `http://127.0.0.1:7316`. */
  readonly agents: string
  /** Base URL of the operators' listener. */
  readonly operators: string
  /** RFC 3339. */
  readonly startedAt: string
}

const runPath = (home: string): string => join(home, 'run.json')
/** What to do when no broker answers. */
export const startHint = 'start the broker: countersign serve'

export const writeRunFile = (home: string, run: RunFile): Promise<void> =>
  writePrivate(runPath(home), `${JSON.stringify(run)}\n`, 'replace')

/** Removes the file unless another process has put its own there. */
export async function removeRunFile(home: string, pid: number): Promise<void> {
  const found = await readRunFile(home).catch(() => null)
  if (found?.pid === pid) await rm(runPath(home), { force: true })
}

/** Where the broker is. Throws `Failure` (exit 3) when none runs: no file, or one left behind by a process that died. */
export async function readRunFile(home: string): Promise<RunFile> {
  const text = await readPrivate(runPath(home)).catch((problem: unknown) => {
    if (!(problem instanceof PrivateFileError)) throw problem
    throw new Failure(
      `no broker runs here (${problem.message})`,
      `${startHint}, or pass the right --home`,
      exitCodes.unreachable,
    )
  })
  const run = parseRun(text)
  if (run === null)
    throw new Failure(
      `\`${runPath(home)}\` is not what a broker writes`,
      `remove it and ${startHint}`,
      exitCodes.unreachable,
    )
  if (!isAlive(run.pid))
    throw new Failure(
      `the broker that ran here (process ${run.pid}) has ended`,
      startHint,
      exitCodes.unreachable,
    )
  return run
}

function parseRun(text: string): RunFile | null {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return null
  }
  if (!isJsonObject(value)) return null
  const { pid, agents, operators, startedAt } = value
  if (typeof pid !== 'number' || !Number.isSafeInteger(pid) || pid <= 0) return null
  if (typeof agents !== 'string' || typeof operators !== 'string' || typeof startedAt !== 'string')
    return null
  return URL.canParse(agents) && URL.canParse(operators) ? { pid, agents, operators, startedAt } : null
}

/**
 * A process of another user that has the number now is not the broker, which runs as whoever can read its private file:
 * key and passphrase would be sent to whatever that user listens with.
 */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

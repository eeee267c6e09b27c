import { dirname, join } from 'node:path'
import { emptyConfig, loadConfig } from '../config/load.ts'
import { exitCodes, Failure, print, progress, visible, type ExitCode } from './output.ts'
import { fsck, type Finding, type FsckReport } from '../audit/fsck.ts'
import { keysFolder } from '../compose/keys.ts'
import { livingMs } from '../compose/living.ts'
import { loadSigningKey, vkeyOf } from '../audit/note.ts'
import { openCheckpoint } from '../audit/checkpoint.ts'
import { readFile } from 'node:fs/promises'
import { StoreRefused } from '../store/conflict.ts'
import { viewStore } from '../compose/view.ts'
import type { Config } from '../config/schema.ts'
import type { Invocation } from './command.ts'

/**
 * Checks the whole store against the whole log, whether or not a broker runs. Needs the configuration and the files, and
 * no broker: what it says is not what a broker says of itself.
 */
export async function check(invocation: Invocation): Promise<ExitCode> {
  const { terminal } = invocation
  const config = configOf(invocation)
  const published = join(config.home, 'log')
  const vkey = await ownKey(config, published)
  const viewing = await viewStore(config).catch((problem: unknown) => {
    if (!(problem instanceof StoreRefused)) throw problem
    throw new Failure(problem.message, 'countersign doctor')
  })
  const done = progress(terminal, 'checking store and log')
  try {
    const report = await fsck({
      view: viewing.view,
      published,
      now: Date.now(),
      livingMs,
      ...(vkey === null ? {} : { vkey }),
    })
    print(terminal, report, () => linesOf(report))
    return report.ok ? exitCodes.done : exitCodes.unverified
  } finally {
    done()
    await viewing.close()
  }
}

function configOf({ configFile, home }: Invocation): Config {
  const loaded = configFile === null ? emptyConfig(dirname(home)) : loadConfig(configFile)
  return { ...loaded.config, home }
}

/** The broker's own, when it has published anything and its key is here; else whose log it is stays unchecked. */
async function ownKey(config: Config, published: string): Promise<string | null> {
  const pem = await readFile(join(keysFolder(config), 'log.pem'), 'utf8').catch(() => null)
  const head = await readFile(join(published, 'checkpoint'), 'utf8').catch(() => '')
  const opened = openCheckpoint(head, null)
  return pem === null || !opened.ok ? null : vkeyOf(opened.checkpoint.origin, loadSigningKey(pem))
}

function linesOf(report: FsckReport): readonly string[] {
  const { checked, open, findings, counts } = report
  const all = Object.values(counts).reduce((sum, count) => sum + count, 0)
  return [
    report.ok
      ? `ok: ${report.size} entries and everything in the store that hangs on them`
      : `FAILED: ${all} findings in ${report.size} entries and the store`,
    `${checked.intents} intents, ${checked.outcomes} outcomes, ${checked.refusals} refusals, ${checked.acts} acts, ${checked.tasks} tasks, ${checked.asks} asks`,
    `${open.living.length} calls in flight; the next start settles ${open.waiting.length} as unknown and takes back ${open.leases.length} leases`,
    ...findings.flatMap(findingLines),
    ...(all > findings.length ? [`… and ${all - findings.length} more: --json has the number of each`] : []),
    ...report.notes.map((note) => `note: ${visible(note)}`),
  ]
}

function findingLines({ code, what, hint, index, call, task, name }: Finding): readonly string[] {
  const where = [
    index === undefined ? null : `entry ${index}`,
    ...[call, task, name].map((one) => (one === undefined ? null : visible(one))),
  ].filter((one) => one !== null)
  return [`${code}${where.length === 0 ? '' : ` (${where.join(', ')})`}: ${visible(what)}`, `  ${hint}`]
}

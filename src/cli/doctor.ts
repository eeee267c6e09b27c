import { addresses, doors, running } from './doctor/listeners.ts'
import { bad, hintOf, said, type Check } from './doctor/check.ts'
import { clock, disk, runtime } from './doctor/machine.ts'
import { ConfigError, emptyConfig, loadConfig, type Loaded } from '../config/load.ts'
import { database, reach } from './doctor/database.ts'
import { dirname } from 'node:path'
import { exitCodes, print, progress, table, green, red, visible, yellow, type Terminal } from './output.ts'
import { file, log, passphrase, schema, stopped, writtenAt } from './doctor/store.ts'
import { issuers } from './doctor/issuers.ts'
import { keyFiles, ringOf, sameKeys } from './doctor/keys.ts'
import { operatorFolder, type BrokerKeys } from '../compose/keys.ts'
import { packageVersion } from '../config/version.ts'
import { policy } from './doctor/policy.ts'
import { servers } from './doctor/servers.ts'
import type { Command, Invocation } from './command.ts'
import type { Look } from './doctor/look.ts'
import type { RunFile } from './run.ts'

export const doctorCommand: Command = {
  usage: [
    'doctor   checks this machine, keys, store, log, policies, servers and listeners, and says what to do',
  ],
  options: {},
  words: 0,
  async run(invocation) {
    const { terminal } = invocation
    const done = progress(terminal, 'looking')
    const checks = await examine(invocation).finally(done)
    const worst = { bad: count(checks, 'bad'), warnings: count(checks, 'warning') }
    print(terminal, { ok: worst.bad === 0, ...worst, checks }, () => [
      ...lines(terminal, checks),
      '',
      worst.bad + worst.warnings === 0 ? 'all is well' : `${worst.bad} bad, ${worst.warnings} to look at`,
    ])
    return worst.bad > 0 ? exitCodes.failed : exitCodes.done
  },
}

const count = (checks: readonly Check[], state: Check['state']): number =>
  checks.filter((check) => check.state === state).length

/** What is told comes from servers and databases, too. */
function lines(terminal: Terminal, checks: readonly Check[]): readonly string[] {
  const mark = { ok: green(terminal, 'ok'), warning: yellow(terminal, 'warning'), bad: red(terminal, 'bad') }
  return table(
    checks.map(({ what, state, detail, hint }) => [
      mark[state],
      visible(what),
      `${visible(detail)}${hint === '' ? '' : `  hint: ${visible(hint)}`}`,
    ]),
  )
}

/** Everything in the order in which a person would mend it: what a later check needs comes first. Nothing is changed. */
export async function examine({
  home,
  configFile,
}: Pick<Invocation, 'home' | 'configFile'>): Promise<readonly Check[]> {
  const { loaded, check } = configured(home, configFile)
  const { config, base } = loaded
  const now = running({ home, keys: operatorFolder(config), version: await packageVersion() })
  const [{ run, check: broker }, { look, check: unreached }] = await Promise.all([now, reach(config)])
  try {
    const inside = await insideStore(config, { look, run })
    return [
      runtime(),
      await clock(),
      check,
      ...(await disk(home)),
      ...(config.store === undefined ? [await file(home)] : []),
      ...(unreached === null ? [] : [unreached]),
      ...inside.checks,
      await caught('policy', policy(config, inside.look)),
      ...(await caughtAll('servers', servers(config, inside.look))),
      ...(await caughtAll('issuers', issuers(config, base))),
      ...doors(config),
      ...(await addresses(config, { run, meant: configFile !== null || look !== null })),
      broker,
    ]
  } finally {
    await look?.close().catch(() => undefined)
  }
}

function configured(
  home: string,
  configFile: string | null,
): { readonly loaded: Loaded; readonly check: Check } {
  const nothing = emptyConfig(dirname(home))
  const withHome = (loaded: Loaded): Loaded => ({ ...loaded, config: { ...loaded.config, home } })
  if (configFile === null)
    return {
      loaded: withHome(nothing),
      check: { what: 'config', state: 'ok', detail: 'none; the defaults', hint: '' },
    }
  try {
    const loaded = withHome(loadConfig(configFile))
    return { loaded, check: { what: 'config', state: 'ok', detail: configFile, hint: '' } }
  } catch (problem) {
    if (!(problem instanceof ConfigError)) throw problem
    return { loaded: withHome(nothing), check: bad('config', problem.problems.join('; '), problem.hint) }
  }
}

/** Keys and what the store knows. A store whose schema is not ours gives a look to nobody else: its rows may mean anything. */
async function insideStore(
  config: Loaded['config'],
  { look, run }: { readonly look: Look | null; readonly run: RunFile | null },
): Promise<{ readonly look: Look | null; readonly checks: readonly Check[] }> {
  const shape = look === null ? null : await caught('schema', schema(look))
  const known = shape?.state === 'ok' ? look : null
  const reached =
    look === null || config.store === undefined
      ? []
      : await caughtAll('database', database(look, config.store))
  // A file is made together with its keys; a database that has our tables was written by somebody's keys.
  const used = look?.engine === 'sqlite' || known !== null
  const { keys, checks } = await ringOf(config, await keyFiles(config, used))
  return {
    look: known,
    checks: [
      ...reached,
      ...(shape === null ? [] : [shape]),
      ...checks,
      ...(known === null ? [] : await ofStore(known, { keys, runs: run !== null })),
      await caught('log', log(config, { key: keys?.log ?? null, look: known })),
    ],
  }
}

async function ofStore(
  look: Look,
  { keys, runs }: { readonly keys: BrokerKeys | null; readonly runs: boolean },
): Promise<readonly Check[]> {
  return [
    ...(keys === null ? [] : [await caught('same keys', sameKeys(look, keys))]),
    await caught('written', writtenAt(look, Date.now())),
    await caught('passphrase', passphrase(look, runs)),
    ...(await caughtAll('stopped', stopped(look))),
  ]
}

/** A check that itself fails is a bad state, and the others go on. */
const caught = (what: string, work: Promise<Check>): Promise<Check> =>
  work.catch((problem: unknown) => bad(what, said(problem), hintOf(problem, 'countersign doctor --json')))

const caughtAll = (what: string, work: Promise<readonly Check[]>): Promise<readonly Check[]> =>
  work.catch((problem: unknown) => [bad(what, said(problem), hintOf(problem, 'countersign doctor --json'))])

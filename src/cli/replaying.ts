import { exitCodes, Failure, print, progress, visible, type ExitCode } from './output.ts'
import { factsKeptMs } from '../flow/fact.ts'
import { loadPoliciesHere } from '../policy/load.ts'
import { namedSources } from './sources.ts'
import { openInstalled } from '../compose/installed.ts'
import { readRecorded } from '../compose/recorded.ts'
import { Replay, type Difference, type Group, type Replayed } from '../policy/replay.ts'
import { rfc3339 } from '../lib/clock.ts'
import { amount, text, type Invocation } from './command.ts'

const plainLimit = 100_000
const mostLimit = 1_000_000
/** An intent and an outcome, and some besides. */
const entriesPerCall = 3

/**
 * `policy replay`: the recorded calls of this installation against a policy set that is not live. Reads the store beside
 * the broker, in a process of its own, and changes nothing.
 */
export async function replay(invocation: Invocation, paths: readonly string[]): Promise<ExitCode> {
  const { flags, terminal } = invocation
  const dir = text(flags, 'dir')
  const limit = Math.min(mostLimit, amount(flags, 'limit') ?? plainLimit)
  const since = sinceOf(text(flags, 'since'))
  const installed = await openInstalled(invocation)
  const done = progress(terminal, 'replaying recorded calls')
  try {
    if (installed.viewing === null)
      throw new Failure('nothing was ever recorded here', 'countersign serve, or give `--home DIR`')
    const sources =
      (await namedSources([...paths, ...(dir === undefined ? [] : [dir])], flags)) ?? installed.policies
    const { tools, servers, config } = installed
    const loaded = loadPoliciesHere({ sources, tools, servers })
    if (!loaded.ok)
      throw new Failure(
        loaded.problems
          .slice(0, 10)
          .map((one) => `${one.file}:${one.line}:${one.column}: ${one.message}; ${one.hint}`)
          .join('\n'),
        'countersign policy check FILE',
      )
    const policy = loaded.snapshot
    const { environment } = config
    const { clearance } = config.labels
    const playing = new Replay({ policy, tools, environment, clearance, since })
    const started = performance.now()
    await installed.viewing.view(
      readRecorded({ most: limit * entriesPerCall, from: since - factsKeptMs }, (event) =>
        playing.take(event),
      ),
    )
    const seconds = (performance.now() - started) / 1000
    const report = playing.report()
    const perSecond = seconds === 0 ? 0 : Math.round(report.calls / seconds)
    print(
      terminal,
      { ...report, seconds: Math.round(seconds * 1000) / 1000, callsPerSecond: perSecond },
      () => [...linesOf(report), `${seconds.toFixed(1)} s, ${perSecond} calls a second`],
    )
    return exitCodes.done
  } finally {
    done()
    await installed.close()
  }
}

/** RFC 3339, a date, or a time before now such as `7d`. */
function sinceOf(given: string | undefined): number {
  if (given === undefined) return Number.NEGATIVE_INFINITY
  const span = /^(\d{1,4})([hd])$/.exec(given)
  if (span !== null) return Date.now() - Number(span[1]) * (span[2] === 'd' ? 86_400_000 : 3_600_000)
  const at = /^\d{4}-\d\d-\d\d/.test(given) ? Date.parse(given) : Number.NaN
  if (Number.isFinite(at)) return at
  throw new Failure(`expected a time after \`--since\``, '--since 7d, or --since 2026-01-31', exitCodes.usage)
}

function linesOf(report: Replayed): readonly string[] {
  const { calls, days, before, after, questionsPerDay, skipped, resultsErased, counts, newly } = report
  return [
    `${calls} calls on ${days} ${days === 1 ? 'day' : 'days'}, against ${report.policy}`,
    `recorded   ${before.allow} allowed, ${before.ask} asked, ${before.deny} denied; ${questionsPerDay.before} questions a day`,
    `proposed   ${after.allow} allowed, ${after.ask} asked, ${after.deny} denied; ${questionsPerDay.after} questions a day`,
    ...(skipped.erased + skipped.unregistered === 0
      ? []
      : [
          `left out   ${skipped.erased} whose arguments were erased or not kept, ${skipped.unregistered} of tools that are not registered any more`,
        ]),
    ...(resultsErased === 0
      ? []
      : [`${resultsErased} results were erased: targets that stood in them are found nowhere`]),
    ...(['denied', 'asked', 'allowed'] as const).flatMap((kind) => [
      `newly ${kind}: ${counts[kind]}`,
      ...report.groups
        .filter(({ after: to }) => asKind[to] === kind)
        .slice(0, 10)
        .map(groupLine),
      ...newly[kind].slice(0, 5).map(differenceLine),
    ]),
  ]
}

const asKind = { deny: 'denied', ask: 'asked', allow: 'allowed' } as const

const groupLine = ({ count, tool, before, policies }: Group): string =>
  `  ${String(count).padStart(6)}  ${visible(tool)}, ${asKind[before]} before${policies.length === 0 ? '' : `: ${policies.map((id) => visible(id)).join(', ')}`}`

const differenceLine = ({ call, at, tool, because }: Difference): string =>
  `          ${rfc3339(at)} ${call} ${visible(tool)}: ${visible(because[0] ?? '')}`

import { join } from 'node:path'
import { fsck, type FsckReport } from '../../src/audit/fsck.ts'
import { judge, type Judged, type Truth } from './truth.ts'
import { openCalls } from '../../src/store/verbs/fsck.ts'
import { readIntents } from './intents.ts'
import { verifyLog } from '../../src/verify.ts'
import { viewStore } from '../../src/compose/view.ts'
import type { Place } from './place.ts'
import type { Seen } from './upstream.ts'

/** The last line. Zeros and `ok`, or something is wrong. */
export type Verdict = {
  readonly kills: number
  /** Intents in the log: what was refused or never arrived is not one. */
  readonly calls: number
  readonly unrecorded: number
  readonly unsettled: number
  readonly double_spent: number
  readonly verify: string
}

/** Findings of `fsck` that say that something was spent twice, as the store and the log show it. */
const spentTwice = [
  'approval-used-twice',
  'approval-not-consumed',
  'approval-open-again',
  'budget-overspent',
  'usage-differs',
]

export type Given = {
  readonly place: Place
  readonly vkey: string
  readonly truth: Truth
  readonly seen: Seen
  readonly kills: number
  /** Heads of the log that were seen on the way: none of them may be forgotten. */
  readonly kept: readonly string[]
}

/** Looks at everything when the last broker has ended. `problems` says what is wrong, in words. */
export async function decide(
  given: Given,
): Promise<{ readonly verdict: Verdict; readonly problems: readonly string[] }> {
  const { place, truth, seen, vkey, kept, kills } = given
  const report = await check(place, vkey)
  const intents = await look(place)
  const judged = judge(truth, seen, intents)
  const logs = await Promise.all(
    place.nodes.map(({ loaded }) => verifyLog({ directory: join(loaded.config.home, 'log'), vkey, kept })),
  )
  const problems = [
    ...report.findings.map(
      ({ code, what, index, call, name }) => `${code}: ${what} ${[index, call, name].join(' ')}`,
    ),
    ...logs.flatMap((log) => log.problems.map(({ index, problem }) => `log: ${problem} (${index ?? 'all'})`)),
    ...report.open.leases.map(({ lease, task }) => `\`${lease}\` is still lent to \`${task}\``),
    ...judged.dishonest,
    ...unsound(judged),
  ]
  const spent = spentTwice.reduce((sum, code) => sum + (report.counts[code] ?? 0), 0)
  const verdict = {
    kills,
    calls: intents.length,
    unrecorded: judged.unrecorded,
    unsettled: judged.unsettled,
    double_spent: judged.doubleSpent + spent,
    verify: problems[0] ?? 'ok',
  }
  return { verdict, problems }
}

const unsound = ({ unrecorded, unsettled, doubleSpent }: Judged): readonly string[] => [
  ...(unrecorded > 0 ? [`${unrecorded} requests reached a server without an intent`] : []),
  ...(unsettled > 0 ? [`${unsettled} intents have no outcome`] : []),
  ...(doubleSpent > 0 ? [`${doubleSpent} calls are beyond a budget or an approval`] : []),
]

/** `fsck` of the store, and of what each node has published. */
export async function check({ nodes }: Place, vkey: string): Promise<FsckReport> {
  const [node] = nodes
  if (node === undefined) throw new TypeError('expected a node')
  const viewing = await viewStore(node.loaded.config)
  try {
    const published = join(node.loaded.config.home, 'log')
    return await fsck({ view: viewing.view, published, vkey, now: Date.now(), livingMs: 0 })
  } finally {
    await viewing.close()
  }
}

/** The incarnations of calls without outcome, one for each call. */
export async function openOn({ nodes }: Place): Promise<readonly string[]> {
  const [node] = nodes
  if (node === undefined) throw new TypeError('expected a node')
  const viewing = await viewStore(node.loaded.config)
  try {
    return (await viewing.view(openCalls())).map(({ broker }) => broker)
  } finally {
    await viewing.close()
  }
}

async function look({ nodes }: Place) {
  const [node] = nodes
  if (node === undefined) throw new TypeError('expected a node')
  const viewing = await viewStore(node.loaded.config)
  try {
    return await viewing.view(readIntents())
  } finally {
    await viewing.close()
  }
}

export const isSound = ({ unrecorded, unsettled, double_spent, verify }: Verdict): boolean =>
  unrecorded === 0 && unsettled === 0 && double_spent === 0 && verify === 'ok'

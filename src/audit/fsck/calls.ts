import { changesSomething } from '../../store/verbs/line.ts'
import type { Findings } from './finding.ts'
import type { IntentEntry, OutcomeEntry } from '../entry.ts'
import type { Logged, MadeCall, Remembered } from '../../store/verbs/fsck.ts'

/** I1: the store knows the call that was intended, and as it was intended. Null when it does not. */
export function judgeIntent(
  { index, made }: Logged,
  entry: IntentEntry,
  findings: Findings,
): MadeCall | null {
  const { call, task, chain, who, what, broker, at } = entry
  const where = { index, call, task }
  if (made === null) {
    findings.add('intent-without-call', 'the store has no such call', where)
    return null
  }
  const same: { readonly [what: string]: boolean } = {
    task: made.task === task,
    chain: made.chain === chain,
    agent: made.agent === who.name,
    tool: made.tool === what.tool,
    effects: made.effects.join() === what.effects.join(),
    broker: made.broker === broker,
    time: made.at === Date.parse(at),
  }
  const differs = Object.keys(same).filter((name) => same[name] === false)
  if (differs.length > 0) findings.add('call-differs', `another ${differs.join(', ')}`, where)
  return made
}

/** I2: the store has the very outcome; and when nobody knows what a write did, its agent is asked before it repeats it. */
export function judgeOutcome(
  { index, made }: Logged,
  { call, task, outcome }: OutcomeEntry,
  by: { readonly memories: ReadonlyMap<string, Remembered>; readonly findings: Findings },
): void {
  const where = { index, call, task }
  if (made === null) return
  if (made.outcome !== outcome)
    by.findings.add(
      'outcome-not-settled',
      `expected \`${outcome}\`, found \`${made.outcome ?? 'none'}\``,
      where,
    )
  if (outcome !== 'unknown' || !changesSomething(made.effects)) return
  const memory = by.memories.get(made.agent)
  if (memory === undefined || !(memory.forgotten || memory.unknown.has(made.fingerprint)))
    by.findings.add('unknown-forgotten', `\`${made.agent}\` remembers nothing of it`, where)
}

/** What an entry is found by in the store must be what it says. Acts may be filed under more than they say. */
export function judgeColumns(
  row: Pick<Logged, 'index' | 'kind' | 'call' | 'task' | 'at'>,
  entry: {
    readonly kind: string
    readonly call?: string
    readonly task?: string | null
    readonly at: string
  },
  findings: Findings,
): void {
  const same: { readonly [what: string]: boolean } = {
    kind: row.kind === entry.kind,
    call: entry.call === undefined || row.call === entry.call,
    task: entry.task === undefined || row.task === entry.task,
    time: row.at === Date.parse(entry.at),
  }
  const differs = Object.keys(same).filter((name) => same[name] === false)
  if (differs.length > 0)
    findings.add('column-differs', `another ${differs.join(', ')}`, { index: row.index })
}

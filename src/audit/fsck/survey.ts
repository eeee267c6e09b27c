import * as store from '../../store/verbs/fsck.ts'
import { Answers } from './answers.ts'
import { Given } from './authority.ts'
import { entryProblem } from '../schema.ts'
import { judgeColumns, judgeIntent, judgeOutcome } from './calls.ts'
import { Kept } from './kept.ts'
import { Lines } from './lines.ts'
import { beats } from '../../store/verbs/settings.ts'
import { Meaning } from '../meaning.ts'
import { openCheckpoint, type Checkpoint } from '../checkpoint.ts'
import { parseIJson } from '../../lib/ijson.ts'
import { parseVkey } from '../note.ts'
import { maxEntry, sameBytes } from '../hash.ts'
import { Tree } from '../tree.ts'
import * as log from '../../store/verbs/log.ts'
import type { Entry } from '../entry.ts'
import type { Findings } from './finding.ts'
import type { Json } from '../../lib/json.ts'
import type { Open, OpenLease } from '../fsck.ts'
import type { Verb } from '../../store/query.ts'

export type SurveySettings = {
  readonly vkey: string | null
  /** Heads that the entries must lead to, besides the store's own. */
  readonly heads: readonly Checkpoint[]
  readonly now: number
  readonly livingMs: number
  readonly graceMs: number
  readonly progress: (done: number, size: number) => void
}

export type Surveyed = {
  readonly size: number
  readonly checked: {
    readonly intents: number
    readonly outcomes: number
    readonly refusals: number
    readonly acts: number
    readonly tasks: number
    readonly asks: number
  }
  readonly open: Open
  readonly notes: readonly string[]
}

type Parts = {
  readonly findings: Findings
  readonly settings: SurveySettings
  readonly meaning: Meaning
  readonly lines: Lines
  readonly answers: Answers
  readonly kept: Kept
  readonly given: Given
}

/** Everything that is read from the store, in one verb and so on one snapshot. */
export function* survey(findings: Findings, settings: SurveySettings): Verb<Surveyed> {
  const parts: Parts = {
    findings,
    settings,
    meaning: new Meaning(),
    lines: new Lines(findings),
    answers: new Answers(findings),
    kept: new Kept(findings),
    given: new Given(findings),
  }
  const gaps = yield* followActs(parts)
  const size = yield* followLog(parts)
  yield* parts.kept.end()
  const counted = yield* compareRows(parts)
  const { intent, outcome, refused, act, backwards } = parts.meaning.counts()
  return {
    size,
    checked: { intents: intent, outcomes: outcome, refusals: refused, acts: act, ...counted },
    open: yield* openThings(parts),
    notes: [
      ...(backwards === 0 ? [] : [`${backwards} entries have a time before that of the entry before them`]),
      ...(gaps === 0 ? [] : [`${gaps} acts tell of refusals or outcomes that could not be recorded in time`]),
    ],
  }
}

/** Acts that something earlier in the log may stand on: an erasure, and who was let in. Gives the number of gaps. */
function* followActs({ kept, given }: Parts): Verb<number> {
  let gaps = 0
  for (let page = yield* store.acts(0); page.length > 0; page = yield* store.acts(behind(page))) {
    for (const { bytes } of page) {
      const entry = read(bytes)
      if (entry?.kind !== 'act') continue
      if (entry.act === 'log-gap') gaps += 1
      kept.act(entry)
      given.act(entry)
    }
  }
  return gaps
}

const behind = (page: readonly { readonly index: number }[]): number => (page.at(-1)?.index ?? 0) + 1

function* followLog(parts: Parts): Verb<number> {
  const { findings, settings } = parts
  const tree = new Tree()
  const size = yield* log.size()
  const heads = [...settings.heads, ...(yield* storedHeads(parts))].sort((a, b) => a.size - b.size)
  const memories = yield* store.memories()
  for (const head of heads.filter((one) => one.size > size))
    findings.add(
      headIn(settings, head) ? 'published-ahead' : 'checkpoint-ahead',
      `${head.size} were signed, ${size} are here`,
    )
  let next = 0
  for (let page = yield* store.entries(0); page.length > 0; page = yield* store.entries(behind(page))) {
    for (const row of page) {
      if (row.index !== next)
        findings.add('log-gap', `entries ${next} to ${row.index - 1} are missing`, { index: next })
      next = row.index + 1
      tree.add(row.bytes)
      if (!sameBytes(tree.newest(), row.leaf))
        findings.add('leaf-differs', 'its hash is another', { index: row.index })
      yield* followEntry(parts, row, memories)
      for (const head of heads)
        if (head.size === tree.size && !sameBytes(head.root, tree.root()))
          findings.add(
            headIn(settings, head) ? 'published-differs' : 'checkpoint-differs',
            `the first ${head.size} entries are not those that were signed`,
          )
    }
    settings.progress(next, size)
  }
  return next
}

const headIn = (settings: SurveySettings, head: Checkpoint): boolean => settings.heads.includes(head)

function* storedHeads({ findings, settings }: Parts): Verb<readonly Checkpoint[]> {
  const stored = yield* log.checkpoint()
  if (stored === null) return []
  const key = settings.vkey === null ? null : parseVkey(settings.vkey)
  const opened = openCheckpoint(stored.text, key)
  if (opened.ok && opened.checkpoint.size === stored.size) return [opened.checkpoint]
  findings.add('checkpoint-unreadable', opened.ok ? 'it is filed under another size' : opened.problem)
  return []
}

function* followEntry(
  { findings, meaning, lines, answers, kept }: Parts,
  row: store.Logged,
  memories: ReadonlyMap<string, store.Remembered>,
): Verb<void> {
  const wrong = meaning.take(row.index, row.bytes)
  const named = wrong === null || wrong.call === null ? {} : { call: wrong.call }
  if (wrong !== null) findings.add(wrong.code, wrong.problem, { index: row.index, ...named })
  const entry = wrong?.code.startsWith('entry-') === true ? null : read(row.bytes)
  if (entry === null) return
  judgeColumns(row, entry, findings)
  yield* kept.entry(row.index, entry)
  switch (entry.kind) {
    case 'act':
      lines.act(entry)
      return answers.act(entry)
    case 'refused':
      return lines.refused(entry)
    case 'intent': {
      const made = judgeIntent(row, entry, findings)
      answers.intent(row.index, entry, made, lines.owner(entry.task))
      return lines.intent(row.index, entry, yield* pays(entry))
    }
    case 'outcome':
      judgeOutcome(row, entry, { memories, findings })
      return lines.outcome(entry)
  }
}

/** A later leg goes free behind a first call of this very task, tool and agent, as `calls.intend` has it. */
function* pays({ call, chain, task, what, who }: Extract<Entry, { kind: 'intent' }>): Verb<boolean> {
  const first = chain === call ? null : yield* store.madeCall(chain)
  return !(first?.task === task && first.tool === what.tool && first.agent === who.name)
}

function* compareRows({ findings, lines, answers, given }: Parts) {
  for (const kind of ['intent', 'outcome'] as const)
    for (const call of yield* store.callsWithout(kind))
      findings.add(
        kind === 'intent' ? 'call-without-intent' : 'settled-without-outcome',
        `the log has no ${kind} of it`,
        { call },
      )
  const counted = { tasks: 0, asks: 0 }
  for (let page = yield* store.tasks(''); page.length > 0; page = yield* store.tasks(page.at(-1)?.id ?? '')) {
    for (const task of page) lines.compare(task)
    counted.tasks += page.length
  }
  lines.end()
  for (let page = yield* store.asks(''); page.length > 0; page = yield* store.asks(page.at(-1)?.id ?? '')) {
    for (const ask of page) answers.compare(ask)
    counted.asks += page.length
  }
  given.compare(yield* store.authority())
  return counted
}

/** What is under way or left over. Only somebody who lives can be asked why it has not been tidied. */
function* openThings({ findings, settings: { now, livingMs, graceMs } }: Parts): Verb<Surveyed['open']> {
  const seen = yield* beats()
  const alive = new Set(seen.flatMap(({ broker, at }) => (at > now - livingMs ? [broker] : [])))
  const open = (yield* store.openCalls()).map(({ call, task, broker, at }) => ({ call, task, broker, at }))
  const over: OpenLease[] = []
  for (const { id, task, until, known, closedAt } of yield* store.leases()) {
    // A listing has no task; it ends by itself.
    const end = known ? closedAt : until
    if (end === null || end + graceMs > now) continue
    over.push({ lease: id, task })
    if (alive.size > 0)
      findings.add('lease-of-closed-task', 'it was not given back', { name: id, ...(known ? { task } : {}) })
  }
  return {
    living: open.filter(({ broker }) => alive.has(broker)),
    waiting: open.filter(({ broker }) => !alive.has(broker)),
    leases: alive.size > 0 ? [] : over,
  }
}

/** An entry that the schema accepts, or null. Acts are read ahead, before anything has looked at their bytes. */
function read(bytes: Uint8Array): Entry | null {
  const parsed = parseIJson(bytes, limits)
  return parsed.ok && isEntry(parsed.value) ? parsed.value : null
}

const limits = { bytes: maxEntry, depth: 64 } as const
const isEntry = (value: Json): value is Json & Entry => entryProblem(value) === null

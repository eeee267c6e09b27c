import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'
import { payloads, payloadsAtOnce } from '../store/verbs/fsck.ts'
import * as log from '../store/verbs/log.ts'
import * as tasks from '../store/verbs/tasks.ts'
import type { IntentEntry, OutcomeEntry, RefusedEntry } from '../audit/entry.ts'
import type { Operation, ServerAnswer } from '../server/answer.ts'
import type { Recorded, RecordedCall } from '../policy/replay.ts'
import type { StoredEntry } from '../store/ports.ts'
import type { Task } from '../task/task.ts'
import type { Verb } from '../store/query.ts'

export type Reading = {
  /** Only the newest entries, so many. */
  readonly most: number
  /** Entries before it are left out. Milliseconds since the epoch. */
  readonly from: number
  readonly progress?: (done: number, size: number) => void
}

type Call = IntentEntry | RefusedEntry
type Decided = { readonly kind: 'call'; readonly entry: Call; readonly before: RecordedCall['before'] }
type Line = Decided | { readonly kind: 'outcome'; readonly entry: OutcomeEntry }

const page = 1024

/**
 * The calls of a log with their payloads, in order, on one snapshot of the store; each is given to `take` as it is read.
 * Entries are the broker's own, so they are read as what they say they are.
 */
export function* readRecorded(reading: Reading, take: (event: Recorded) => void): Verb<void> {
  const size = yield* log.size()
  const first = Math.max(size - reading.most, yield* firstFrom(reading.from, size))
  const known = new Set<string>()
  for (let from = first; from < size; from += page) {
    const lines = (yield* log.read(from, page)).flatMap(lineOf)
    const bytes = yield* payloadsOf(lines)
    for (const line of lines) {
      if (line.kind === 'call') yield* tellTask(line.entry.task ?? '', known, take)
      const event = eventOf(line, bytes)
      if (event.kind !== 'call' || known.has(event.task)) take(event)
    }
    reading.progress?.(Math.min(size, from + page) - first, size - first)
  }
}

/** The first entry of that time, by halves: entries are in the order of their times but for what clocks do. */
function* firstFrom(time: number, size: number): Verb<number> {
  let [low, high] = [0, size]
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    const [entry] = yield* log.read(middle, 1)
    const at = entry === undefined ? null : jsonOf(entry.bytes)?.['at']
    if (typeof at === 'string' && Date.parse(at) < time) low = middle + 1
    else high = middle
  }
  return low
}

/** With its ancestors, before the first thing that it did. */
function* tellTask(id: string, known: Set<string>, take: (event: Recorded) => void): Verb<void> {
  if (known.has(id)) return
  const line: Task[] = []
  for (let next = yield* tasks.get(id); next !== null;) {
    line.push(next)
    next = next.parent === null ? null : yield* tasks.get(next.parent)
  }
  for (const [index, task] of [...line.entries()].reverse()) {
    if (known.has(task.id)) continue
    known.add(task.id)
    take({ kind: 'task', task, above: line.slice(index + 1).map((one) => one.id) })
  }
}

function lineOf({ bytes }: StoredEntry): readonly Line[] {
  const value = jsonOf(bytes)
  if (value === null) return []
  const entry: unknown = value
  switch (value['kind']) {
    case 'outcome':
      return [{ kind: 'outcome', entry: entry as OutcomeEntry }]
    case 'intent': {
      const intent = entry as IntentEntry
      return [{ kind: 'call', entry: intent, before: intent.approval === null ? 'allow' : 'ask' }]
    }
    case 'refused': {
      const refused = entry as RefusedEntry
      const before = decidedBy(refused.code)
      return before === null || refused.what === null || refused.who === null
        ? []
        : [{ kind: 'call', entry: refused, before }]
    }
    default:
      return []
  }
}

/** Null for a refusal that no policy made: bad arguments, no such tool, a budget. */
function decidedBy(code: string): RecordedCall['before'] | null {
  switch (code) {
    case 'denied':
    case 'flow-forbidden':
      return 'deny'
    case 'approval-required':
    case 'approval-refused':
    case 'approval-expired':
    case 'too-many-asks':
      return 'ask'
    default:
      return null
  }
}

function* payloadsOf(lines: readonly Line[]): Verb<ReadonlyMap<string, Uint8Array>> {
  const wanted = lines.flatMap(({ kind, entry }) => {
    const commitment = kind === 'outcome' ? entry.result : entry.arguments
    return commitment === null ? [] : [commitment]
  })
  const found = new Map<string, Uint8Array>()
  for (let at = 0; at < wanted.length; at += payloadsAtOnce)
    for (const { commitment, bytes } of yield* payloads(wanted.slice(at, at + payloadsAtOnce)))
      found.set(commitment, bytes)
  return found
}

function eventOf(line: Line, bytes: ReadonlyMap<string, Uint8Array>): Recorded {
  if (line.kind === 'outcome') {
    const { call, outcome, labels, result } = line.entry
    const kept = result === null ? undefined : bytes.get(result)
    const answer = kept === undefined ? null : answerOf(jsonOf(kept))
    return { kind: 'outcome', call, outcome, answer, erased: result !== null && kept === undefined, labels }
  }
  const { entry, before } = line
  const { call, task, who, what } = entry
  const leg = entry.kind === 'intent' && entry.chain !== call
  const kept = entry.arguments === null ? undefined : bytes.get(entry.arguments)
  const args = kept === undefined ? null : jsonOf(kept)
  const inner = leg ? args?.['arguments'] : args
  return {
    kind: 'call',
    call,
    leg,
    task: task ?? '',
    caller: {
      kind: who?.kind ?? 'agent',
      name: who?.name ?? '',
      onBehalfOf: who?.onBehalfOf ?? '',
      proven: provenOf(who?.proven),
      issuer: who?.issuer ?? '',
    },
    tool: what?.tool ?? '',
    operation: operations.find((one) => one === what?.operation) ?? 'call',
    arguments: isJsonObject(inner) ? inner : null,
    at: Date.parse(entry.at),
    before,
    made: entry.kind === 'intent',
    labels: entry.kind === 'intent' ? entry.labels : null,
  }
}

const operations: readonly Operation[] = ['call', 'read', 'get', 'complete', 'subscribe']
const provenOf = (text: string | undefined): RecordedCall['caller']['proven'] =>
  text === 'issuer-token' || text === 'operator' ? text : 'task-token'

/** As `payloadOf` wrote it. */
function answerOf(value: JsonObject | null): ServerAnswer | null {
  const kind = value?.['kind']
  const answer: unknown = value
  return kind === 'result' || kind === 'error' || kind === 'input' ? (answer as ServerAnswer) : null
}

function jsonOf(bytes: Uint8Array): JsonObject | null {
  try {
    const value: Json = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString())
    return isJsonObject(value) ? value : null
  } catch {
    return null
  }
}

import { newId } from '../../lib/id.ts'
import type { EventStream } from '../exchange.ts'
import type { JsonObject } from '../../lib/json.ts'

/**
 * What streams that answer calls have said, kept for a while: in revisions with sessions a lost connection is no cancel
 * (MCP 2025-11-25, resumability), and the answer of a call that was made must not be lost with it. In this process only.
 */
export type Journal = {
  /** Begins the stream of one request on a connection that stands. */
  begin(session: string, stream: EventStream): Kept
  /** Goes on behind the event with that id, on another connection. False: nobody knows it, or it is another session's. */
  resume(session: string, lastId: string, open: () => EventStream): boolean
  drop(session: string): void
}

/** The stream of one request, whichever connection carries it now. */
export type Kept = { send(message: JsonObject): void; end(): void }

const retryMs = 1_000
/** Characters of JSON: kept in all, of one session, and the longest event. */
const mostInAll = 32 * 1024 * 1024
const mostOfOne = 4 * 1024 * 1024
/** What a stream or an event takes besides its text: ten thousand short ones are not for nothing. */
const besides = 512
/** How long an answer is kept after it was sent. Milliseconds, by a clock that never jumps. */
const keptMs = 5 * 60_000

type Event = { readonly number: number; readonly message: JsonObject; readonly chars: number }
type Entry = {
  readonly id: string
  readonly session: string
  events: Event[]
  chars: number
  last: number
  stream: EventStream | null
  endedAt: number | null
}

export function createJournal(elapsed: () => number): Journal {
  // In order of their beginning: the first is the oldest.
  const entries = new Map<string, Entry>()
  let chars = 0
  const forget = (entry: Entry) => {
    entries.delete(entry.id)
    chars -= entry.chars
    entry.events = []
    entry.chars = 0
  }
  const makeRoom = (session: string) => {
    const now = elapsed()
    for (const entry of entries.values())
      if (entry.endedAt !== null && now - entry.endedAt >= keptMs) forget(entry)
    const own = [...entries.values()].filter((entry) => entry.session === session)
    let mine = own.reduce((sum, entry) => sum + entry.chars, 0)
    for (const entry of own) {
      if (mine <= mostOfOne) break
      mine -= entry.chars
      forget(entry)
    }
    for (const entry of entries.values()) {
      if (chars <= mostInAll) break
      forget(entry)
    }
  }
  const keep = (entry: Entry, event: Event) => {
    // Forgotten, or too large to be kept: whoever has the connection gets it all the same.
    if (!entries.has(entry.id) || event.chars > mostOfOne) return
    entry.events.push(event)
    entry.chars += event.chars
    chars += event.chars
    makeRoom(entry.session)
  }
  return {
    begin(session, stream) {
      const id = newId('j')
      const entry: Entry = { id, session, events: [], chars: besides, last: 0, stream, endedAt: null }
      entries.set(id, entry)
      chars += besides
      makeRoom(session)
      stream.prime(`${entry.id}_0`, retryMs)
      return {
        send(message) {
          const number = ++entry.last
          keep(entry, { number, message, chars: JSON.stringify(message).length + besides })
          entry.stream?.send(message, `${entry.id}_${number}`)
        },
        end() {
          entry.endedAt = elapsed()
          entry.stream?.end()
          entry.stream = null
        },
      }
    },
    resume(session, lastId, open) {
      const [, id = '', seen = ''] = /^(j_[0-9A-Za-z]{22})_(\d{1,9})$/.exec(lastId) ?? []
      const entry = entries.get(id)
      if (entry?.session !== session) return false
      // One connection at a time: whoever comes back has lost the other.
      entry.stream?.end()
      const stream = open()
      for (const { number, message } of entry.events)
        if (number > Number(seen)) stream.send(message, `${id}_${number}`)
      if (entry.endedAt === null) entry.stream = stream
      else stream.end()
      return true
    },
    drop(session) {
      for (const entry of entries.values()) if (entry.session === session) forget(entry)
    },
  }
}

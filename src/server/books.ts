import { createHash } from 'node:crypto'
import type { RawCatalogue } from './catalogue.ts'
import type { Dropped } from './channel.ts'

/** What an operator may want to know of a server; none of it is ever shown to an agent. */
export type Books = {
  readonly drop: (server: string, what: Dropped) => void
  readonly end: (server: string, how: string, stderr: string) => void
  readonly ended: () => { readonly [server: string]: Ended }
  readonly dropped: () => { readonly [server: string]: { readonly [what in Dropped]?: number } }
}

/** How the last process of a server ended, and the last that it wrote to stderr. */
export type Ended = { readonly how: string; readonly stderr: string }

/** Bounded by the number of servers that are configured. */
export function keepBooks(): Books {
  const ended = new Map<string, Ended>()
  const dropped = new Map<string, { [what in Dropped]?: number }>()
  return {
    drop(server, what) {
      const counts = dropped.get(server) ?? {}
      counts[what] = (counts[what] ?? 0) + 1
      dropped.set(server, counts)
    },
    end: (server, how, stderr) => void ended.set(server, { how, stderr }),
    ended: () => Object.fromEntries(ended),
    dropped: () => Object.fromEntries([...dropped].map(([server, counts]) => [server, { ...counts }])),
  }
}

/** Passes on only what differs from what was last passed on for that server, whichever connection saw it. */
export function reportChanges(
  report: (raw: RawCatalogue) => void | Promise<void>,
): (raw: RawCatalogue) => Promise<void> {
  const last = new Map<string, string>()
  return async (raw) => {
    const print = createHash('sha256').update(JSON.stringify(raw)).digest('base64')
    if (last.get(raw.server) === print) return
    await report(raw)
    last.set(raw.server, print)
  }
}

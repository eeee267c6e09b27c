import type { News } from '../news.ts'
import { query } from '../query.ts'
import type { Query } from '../query.ts'
import { ask } from './session.ts'
import type { Session } from './session.ts'

/** Back-off between attempts to connect again, and how often a silent line is tried. Milliseconds. */
const firstRetryMs = 100
const lastRetryMs = 5000
const tryMs = 5000
/** A notification carries 8,000 bytes at most. */
const maxBytes = 7500

export type Listener = {
  watch(told: (news: News) => void): () => void
  close(): Promise<void>
}

/** What this engine tells the others with a commit; those on other schemas listen to channels of their own. */
export const announce =
  (channel: string, self: string) =>
  (news: readonly News[]): readonly Query[] => {
    const texts = new Set(news.map((one) => JSON.stringify({ from: self, news: one })))
    return [...texts].map((text) =>
      // Too long to be told: whoever listens looks for itself.
      query(notify, channel, fits(text) ? text : JSON.stringify({ from: self, news: { kind: 'missed' } })),
    )
  }

const notify = 'select pg_notify($1, $2)'
const fits = (text: string): boolean => Buffer.byteLength(text) <= maxBytes

/**
 * One connection that listens. News are hints, and a poll stands behind them: a line that was down says `missed` when it
 * is up again, and a line that is silent is tried, because a network that is cut says nothing.
 */
export async function startListener(parts: {
  readonly channel: string
  readonly self: string
  readonly open: () => Promise<Session>
}): Promise<Listener> {
  const watchers = new Set<(news: News) => void>()
  const tell = (news: News): void => {
    for (const told of watchers) told(news)
  }
  let session = await listen()
  let closed = false
  let retry: NodeJS.Timeout | null = null
  let trying = false

  async function listen(): Promise<Session> {
    const made = await parts.open()
    made.onNotice((payload) => {
      const news = readNews(payload, parts.self)
      if (news !== null) tell(news)
    })
    made.onLost(() => again(firstRetryMs))
    try {
      // The channel is a schema's name, which `schema.ts` holds to letters that need no quoting.
      await ask(made, `listen "${parts.channel}"`)
    } catch (error) {
      made.destroy('it does not listen')
      throw error
    }
    made.hold(false)
    return made
  }
  function again(afterMs: number): void {
    if (closed || retry !== null) return
    retry = setTimeout(() => {
      retry = null
      listen().then(
        (made) => {
          session = made
          if (closed) void made.close()
          else tell({ kind: 'missed' })
        },
        () => again(Math.min(afterMs * 2, lastRetryMs)),
      )
    }, afterMs)
    retry.unref()
  }
  const test = setInterval(() => {
    if (session.isLost()) return
    if (trying) return session.destroy('it does not answer')
    trying = true
    ask(session, 'select 1').then(
      () => (trying = false),
      () => (trying = false),
    )
  }, tryMs)
  test.unref()

  return {
    watch: (told) => {
      watchers.add(told)
      return () => void watchers.delete(told)
    },
    close: async () => {
      closed = true
      clearInterval(test)
      if (retry !== null) clearTimeout(retry)
      await session.close()
    },
  }
}

/** Null for this engine's own, and for what is no news. */
function readNews(payload: string, self: string): News | null {
  try {
    const { from, news } = JSON.parse(payload) as { from?: unknown; news?: News }
    return from === self || news === undefined ? null : news
  } catch {
    return null
  }
}

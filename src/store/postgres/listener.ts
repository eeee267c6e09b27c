import type { News } from '../news.ts'
import { query } from '../query.ts'
import type { Query } from '../query.ts'
import { ask } from './session.ts'
import type { Session } from './session.ts'

/** Back-off between attempts to connect again. Milliseconds. */
const firstRetryMs = 100
const lastRetryMs = 5000
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
  /** A silent line is tried so often, and given up when it does not answer until the next time. Milliseconds. */
  readonly tryMs: number
}): Promise<Listener> {
  const watchers = new Set<(news: News) => void>()
  const tell = (news: News): void => {
    for (const told of watchers) told(news)
  }
  let closed = false
  let retry: NodeJS.Timeout | null = null
  let trying = false
  let session = await first()

  /** Who cannot listen at all does not start. */
  async function first(): Promise<Session> {
    try {
      return await listen()
    } catch (error) {
      closed = true
      throw error
    }
  }

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
  const reconnect = async (afterMs: number): Promise<void> => {
    try {
      session = await listen()
    } catch {
      return again(Math.min(afterMs * 2, lastRetryMs))
    }
    if (closed) await session.close()
    else tell({ kind: 'missed' })
  }
  function again(afterMs: number): void {
    if (closed || retry !== null) return
    retry = setTimeout(() => {
      retry = null
      void reconnect(afterMs)
    }, afterMs)
    retry.unref()
  }
  /** Whether it answers; one that is lost has an end of its own. */
  const knock = async (line: Session): Promise<void> => {
    await ask(line, 'select 1').catch(() => [])
    trying = false
  }
  const test = setInterval(() => {
    if (session.isLost()) return
    if (trying) return session.destroy('it does not answer')
    trying = true
    void knock(session)
  }, parts.tryMs)
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

import { createHash, timingSafeEqual } from 'node:crypto'
import { expositionType } from '../../observe/exposition.ts'
import { problem } from './route.ts'
import type { Exchange } from '../exchange.ts'
import type { Gate } from '../../identity/operator.ts'
import type { Readiness } from '../../observe/health.ts'

export type WatchingParts = {
  readonly gate: Pick<Gate, 'enter' | 'leave'>
  /** The token that a scraper has to send; null: `/metrics` is not served. Read at each scrape, so that it can be changed. */
  readonly token: (() => Promise<string>) | null
  readonly metrics: () => Promise<string>
  readonly readiness: () => Readiness
}

/**
 * `/metrics`, and `/readyz` with its reasons. Metrics say which servers, tools and policies there are and how busy
 * people are: they are for operators and for the scraper that operators set up. It has a token of its own that opens
 * nothing else; the operator key, which can revoke, need not lie in a scraper's configuration.
 *
 * False: not one of these.
 */
export function watchingRoutes(parts: WatchingParts): (exchange: Exchange) => Promise<boolean> {
  const latest = oneAtATime(parts.metrics)
  return async (exchange) => {
    const { path, method } = exchange
    if (path !== '/metrics' && path !== '/readyz' && path !== '/healthz') return false
    if (path === '/metrics' && parts.token === null) return false
    if (method !== 'GET') {
      reply(exchange, problem('method-not-allowed', 'expected GET', 'send it with that method'))
      return true
    }
    const who = await sender(parts, exchange)
    if (who === 'nobody') {
      const hint = 'send the token in `scrape.token` below the home of the broker as a bearer token'
      reply(exchange, problem('no-key', 'expected a token', hint), {
        'WWW-Authenticate': 'Bearer realm="operators"',
      })
    } else if (path === '/metrics') {
      exchange.bytes(200, await latest(), { 'Content-Type': expositionType })
    } else if (path === '/healthz') exchange.answer(200, { status: 'ok' })
    else {
      const { ready, checks } = parts.readiness()
      exchange.answer(ready ? 200 : 503, { status: ready ? 'ready' : 'not ready', checks: { ...checks } })
    }
    return true
  }
}

function reply(
  exchange: Exchange,
  answer: ReturnType<typeof problem>,
  headers: { readonly [name: string]: string } = {},
): void {
  exchange.answer(answer.status, answer.body, headers)
}

async function sender({ gate, token }: WatchingParts, exchange: Exchange): Promise<'nobody' | 'somebody'> {
  const sent = /^Bearer ([!-~]{1,512})$/i.exec(exchange.header('authorization') ?? '')?.[1]
  if (sent === undefined) return 'nobody'
  if (token !== null && same(sent, await token())) return 'somebody'
  const entered = await gate.enter({ key: sent, name: null, passphrase: null })
  if (!entered.ok) return 'nobody'
  gate.leave(entered.presence)
  return 'somebody'
}

/** Digests, so that neither length nor content shows in the time it takes. */
const same = (a: string, b: string): boolean => timingSafeEqual(digest(a), digest(b))
const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

/** Scrapers that come together share one reading: looking must not become work. */
function oneAtATime(read: () => Promise<string>): () => Promise<string> {
  let reading: Promise<string> | null = null
  return () => (reading ??= read().finally(() => (reading = null)))
}

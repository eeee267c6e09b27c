import { refuse } from './listener.ts'
import type { Exchange } from './exchange.ts'

/** Whether the process lives, and whether it should get calls. Nothing else of the broker is said here. */
export type Probes = (exchange: Exchange) => boolean

/**
 * `/healthz` and `/readyz`, for whoever restarts processes or spreads calls. Answered before `Host` is compared and
 * without a credential: load balancers send an address as `Host`, and a page that got here by rebinding would learn
 * that something listens, which a refusal tells it just as well. False: not one of these.
 *
 * `detailed`: where more is told to those who prove who they are, a request with a credential is left to the routes.
 */
export const probes =
  (isReady: () => boolean, { detailed }: { readonly detailed: boolean }): Probes =>
  (exchange) => {
    const { path, method } = exchange
    if (path !== '/healthz' && path !== '/readyz') return false
    if (detailed && exchange.header('authorization') !== null) return false
    if (method !== 'GET' && method !== 'HEAD') {
      refuse(exchange, 405, 'expected GET', { Allow: 'GET, HEAD' })
      return true
    }
    // That it is answered at all says that the event loop turns.
    if (path === '/healthz') exchange.answer(200, { status: 'ok' })
    else if (isReady()) exchange.answer(200, { status: 'ready' })
    else exchange.answer(503, { status: 'not ready' }, { 'Retry-After': '1' })
    return true
  }

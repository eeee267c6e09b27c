import { apiErrors, problem, type Answer, type ApiCode } from './route.ts'
import { factShown } from './events.ts'
import { parseIJson } from '../../lib/ijson.ts'
import { comeBack, type Exchange } from '../exchange.ts'
import type { Hub } from '../../observe/hub.ts'
import type { OperatorApi } from './api.ts'

const told = ['authorization', 'countersign-operator', 'countersign-passphrase'] as const
const mostStreams = 32

/**
 * The operators' API over HTTP. The listener has compared `Host` and `Origin` before; here the key is asked for on every
 * request. `level` is never taken from a request: only callers in the broker's own process have one.
 */
export function operatorRoutes(parts: {
  readonly api: OperatorApi
  readonly hub: Hub
}): (exchange: Exchange) => Promise<void> {
  let streams = 0
  return async (exchange) => {
    const headers = Object.fromEntries(
      told.flatMap((name) => {
        const value = exchange.header(name)
        return value === null ? [] : [[name, value]]
      }),
    )
    if (exchange.method === 'GET' && exchange.path === '/v1/events') {
      // Whoever may ask for the status may watch.
      const entered = await parts.api({ method: 'GET', path: '/v1/status', headers })
      if (entered.status !== 200) return reply(exchange, entered)
      if (streams >= mostStreams)
        return reply(exchange, problem('slow-down', 'too many people watch at once', 'close another one'))
      streams += 1
      try {
        return await watch(exchange, parts.hub)
      } finally {
        streams -= 1
      }
    }
    const body = await bodyOf(exchange)
    if (!body.ok) return reply(exchange, body.answer)
    const query = Object.fromEntries(exchange.query)
    const { method, path } = exchange
    reply(
      exchange,
      await parts.api({ method, path, query, headers, body: body.value, signal: exchange.gone }),
    )
  }
}

type Sent = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly answer: Answer }

async function bodyOf(exchange: Exchange): Promise<Sent> {
  // A DELETE may come without a body.
  if (exchange.method === 'GET' || (exchange.header('content-type') === null && bare(exchange)))
    return { ok: true, value: undefined }
  const body = await exchange.body('application/json')
  if (!body.ok) {
    const answer =
      body.status === 503
        ? problem('slow-down', body.problem, 'try again')
        : problem('bad-request', body.problem, 'send JSON')
    return { ok: false, answer: { ...answer, status: body.status } }
  }
  const parsed = parseIJson(body.bytes)
  if (parsed.ok) return { ok: true, value: parsed.value }
  return {
    ok: false,
    answer: problem(
      'bad-request',
      `the body is not strict JSON: ${parsed.problem} (at ${parsed.at})`,
      'send one JSON object',
    ),
  }
}

const bare = (exchange: Exchange): boolean =>
  (exchange.header('content-length') ?? '0') === '0' && exchange.header('transfer-encoding') === null

function reply(exchange: Exchange, answer: Answer): void {
  const { status } = answer
  const more =
    status === apiErrors['no-key' satisfies ApiCode]
      ? { 'WWW-Authenticate': 'Bearer realm="operators"' }
      : status === 503 || status === 429
        ? comeBack
        : {}
  exchange.answer(status, answer.body, more)
}

/** Newest facts first in time order, then each as it happens, until the watcher goes or falls too far behind. */
function watch(exchange: Exchange, hub: Hub): Promise<void> {
  const stream = exchange.stream()
  return new Promise((resolve) => {
    for (const fact of hub.recent()) stream.send(factShown(fact))
    const stop = hub.subscribe((fact) => {
      if (stream.open) stream.send(factShown(fact))
      else end()
    })
    const end = (): void => {
      stop()
      stream.end()
      resolve()
    }
    exchange.gone.addEventListener('abort', end, { once: true })
    if (exchange.gone.aborted) end()
  })
}

import { AsyncLocalStorage } from 'node:async_hooks'
import { fromMeta, readTraceparent, type TraceContext } from './context.ts'
import { errorLabel } from './probes.ts'
import { isJsonObject, type JsonObject } from '../lib/json.ts'
import { showName, type Endpoint } from '../door/mcp/name.ts'
import { callMethods, keys, legacyVersions, listMethods, modernVersions } from '../door/mcp/protocol.ts'
import { metaOf, type Message } from '../door/mcp/message.ts'
import type { Attributes } from './attributes.ts'
import type { EventStream, Exchange } from '../door/exchange.ts'
import type { Meter } from './meter.ts'
import type { Span, Tracer } from './spans.ts'
import type { Tool } from '../registry/tool.ts'

/** One message of an agent, read, not yet served. */
export type Incoming = {
  readonly exchange: Exchange
  readonly endpoint: Endpoint
  readonly message: Message
}

/** A request that is being served, for whatever runs below it. */
export type Operation = {
  /** Null when nobody traces. */
  readonly span: Span | null
  /** The registered tool or prompt that it turned out to be about. */
  reached(tool: Tool): void
}

export type Operations = {
  /** Serves a message, with somebody watching from outside. Fails as `serve` fails. */
  around(incoming: Incoming, serve: (exchange: Exchange) => Promise<void>): Promise<void>
  /** The request that the caller of this function is serving, or null. */
  current(): Operation | null
}

/**
 * What becomes of a trace that an agent says it is in. `link`: the broker's trace is its own and names the agent's.
 * `parent`: it is the agent's. `ignore`: neither.
 */
export type IncomingTrace = 'link' | 'parent' | 'ignore'

export type OperationParts = {
  readonly meter: Meter
  /** Null when nobody traces. */
  readonly tracer: () => Tracer | null
  readonly incoming: IncomingTrace
}

export function createOperations(parts: OperationParts): Operations {
  const ambient = new AsyncLocalStorage<Operation>()
  return {
    current: () => ambient.getStore() ?? null,
    around: async (incoming, serve) => {
      const watch = begin(parts, incoming)
      try {
        await ambient.run(watch.operation, () => serve(watch.exchange))
        watch.end()
      } catch (fault) {
        watch.end('fault')
        throw fault
      }
    },
  }
}

type Watch = { readonly operation: Operation; readonly exchange: Exchange; end(error?: string): void }

function begin({ meter, tracer, incoming: kind }: OperationParts, incoming: Incoming): Watch {
  const started = performance.now()
  const about = aboutOf(incoming)
  const span = tracer()?.root(String(about['mcp.method.name']), {
    kind: 'server',
    attributes: about,
    ...contextOf(incoming, kind),
  })
  let target: Attributes = {}
  let answer: Answered = {}
  return {
    exchange: listening(incoming.exchange, (said) => (answer = said)),
    operation: {
      span: span ?? null,
      reached: (tool) => {
        target = targetOf(tool, incoming.endpoint)
        const name = target['gen_ai.tool.name'] ?? target['gen_ai.prompt.name']
        if (name !== undefined) span?.rename(`${about['mcp.method.name']} ${name}`)
        span?.set(target)
      },
    },
    end: (fault) => {
      const error = fault ?? answer.error
      if (answer.code !== undefined) span?.set({ 'rpc.response.status_code': answer.code })
      span?.end(error)
      const said: Attributes = { ...about, ...target }
      meter.record(
        'mcp.server.operation.duration',
        {
          'mcp.method.name': text(said['mcp.method.name']),
          'error.type': errorLabel(error),
          'gen_ai.tool.name': text(said['gen_ai.tool.name']),
          'gen_ai.prompt.name': text(said['gen_ai.prompt.name']),
          'gen_ai.operation.name': text(said['gen_ai.operation.name']),
          'rpc.response.status_code': errorLabel(answer.code),
          'mcp.protocol.version': text(said['mcp.protocol.version']),
          'network.transport': 'tcp',
          'network.protocol.name': 'http',
        },
        (performance.now() - started) / 1000,
      )
    },
  }
}

const text = (value: string | number | undefined): string | undefined =>
  value === undefined ? undefined : String(value)

/** The convention's rule: what `_meta` says is the parent, what the transport says is a link. */
function contextOf(
  { exchange, message }: Incoming,
  kind: IncomingTrace,
): { readonly parent: TraceContext | null; readonly links: readonly TraceContext[] } {
  const meta = message.kind === 'response' ? null : fromMeta(metaOf(message.params))
  const header = readTraceparent(exchange.header('traceparent'))
  switch (kind) {
    case 'parent':
      return { parent: meta ?? header, links: meta === null || header === null ? [] : [header] }
    case 'link':
      return { parent: null, links: [meta, header].filter((one) => one !== null) }
    case 'ignore':
      return { parent: null, links: [] }
  }
}

const known: ReadonlySet<string> = new Set([
  ...callMethods,
  ...listMethods,
  'initialize',
  'ping',
  'server/discover',
  'subscriptions/listen',
  'logging/setLevel',
  'resources/subscribe',
  'resources/unsubscribe',
  'notifications/initialized',
  'notifications/cancelled',
  'notifications/progress',
  'notifications/roots/list_changed',
])

function aboutOf({ exchange, message }: Incoming): Attributes {
  const method = message.kind === 'response' ? 'response' : message.method
  const id = message.kind === 'request' && typeof message.id === 'number' ? String(message.id) : undefined
  return {
    'mcp.method.name': known.has(method) ? method : '_OTHER',
    ...(method === 'tools/call' ? { 'gen_ai.operation.name': 'execute_tool' } : {}),
    'jsonrpc.request.id': id,
    'mcp.protocol.version': versionOf(exchange, message),
    'network.transport': 'tcp',
    'network.protocol.name': 'http',
    'network.protocol.version': '1.1',
  }
}

function versionOf(exchange: Exchange, message: Message): string | undefined {
  const meta = message.kind === 'response' ? null : metaOf(message.params)
  const said = meta?.[keys.version] ?? exchange.header('mcp-protocol-version')
  return [...modernVersions, ...legacyVersions].find((version) => version === said)
}

/** Of a resource nothing: its name is a URI, and that an argument. */
function targetOf({ server, definition }: Tool, endpoint: Endpoint): Attributes {
  const shown = showName(endpoint, { server, name: definition.name })
  const named =
    definition.kind === 'tool'
      ? { 'gen_ai.tool.name': shown }
      : definition.kind === 'prompt'
        ? { 'gen_ai.prompt.name': shown }
        : {}
  return { ...named, 'countersign.server': server }
}

/** `error.type` by the convention, and the number of a JSON-RPC error. */
type Answered = { readonly error?: string; readonly code?: string }

/** The same exchange; what is answered is heard. The body of an answer is looked at for its error, and not kept. */
function listening(exchange: Exchange, told: (said: Answered) => void): Exchange {
  const hear = (status: number, body: JsonObject | null): void => {
    const said = answerOf(status, body)
    if (said !== null) told(said)
  }
  return {
    method: exchange.method,
    path: exchange.path,
    query: exchange.query,
    remote: exchange.remote,
    header: (name) => exchange.header(name),
    known: (who) => exchange.known(who),
    body: (type) => exchange.body(type),
    gone: exchange.gone,
    closing: exchange.closing,
    answer: (status, body, headers) => {
      hear(status, body)
      exchange.answer(status, body, headers)
    },
    bytes: (status, body, headers) => {
      hear(status, null)
      exchange.bytes(status, body, headers)
    },
    stream: (headers) => heard(exchange.stream(headers), (message) => hear(200, message)),
    get started() {
      return exchange.started
    },
  }
}

const heard = (stream: EventStream, told: (message: JsonObject) => void): EventStream => ({
  send: (message, ...rest) => {
    told(message)
    stream.send(message, ...rest)
  },
  comment: (words) => stream.comment(words),
  prime: (...given) => stream.prime(...given),
  end: () => stream.end(),
  get open() {
    return stream.open
  },
})

/** Null for what is no answer: notifications and requests of ours. */
function answerOf(status: number, body: JsonObject | null): Answered | null {
  const failed = isJsonObject(body?.['error']) ? body['error']['code'] : undefined
  if (typeof failed === 'number') return { error: String(failed), code: String(failed) }
  if (status >= 400) return { error: String(status) }
  const result = body?.['result']
  if (!isJsonObject(result)) return body === null ? {} : null
  return result['isError'] === true ? { error: 'tool_error' } : {}
}

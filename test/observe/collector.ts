import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { isJsonObject, type Json, type JsonObject } from '../../src/lib/json.ts'

/** A receiver of OTLP/HTTP in JSON, with no code of the SDK's: what arrives is what anybody would get. */
export type Collector = {
  readonly url: string
  /** Everything that arrived, as it arrived. */
  readonly bodies: readonly string[]
  readonly headers: readonly IncomingMessage['headers'][]
  spans(): readonly Received[]
  /** Names of the metrics that arrived. */
  metrics(): ReadonlySet<string>
  /** Waits until `found` gives something of what has arrived. */
  until<Found>(found: (collector: Collector) => Found | undefined): Promise<Found>
  close(): Promise<void>
}

export type Received = {
  readonly name: string
  /** 1 internal, 2 server, 3 client. */
  readonly kind: number
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string | null
  readonly attributes: { readonly [name: string]: string }
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[]
  readonly status: number
  readonly schemaUrl: string
  readonly resource: { readonly [name: string]: string }
}

/** `hang`: takes what is sent and never answers. `fail`: answers 500. */
export async function startCollector(mode: 'ok' | 'hang' | 'fail' = 'ok'): Promise<Collector> {
  const bodies: string[] = []
  const headers: IncomingMessage['headers'][] = []
  const server = createServer((req: IncomingMessage, res: ServerResponse) => {
    const chunks: Buffer[] = []
    req.on('data', (chunk: Buffer) => chunks.push(chunk))
    req.on('end', () => {
      bodies.push(Buffer.concat(chunks).toString('utf8'))
      headers.push(req.headers)
      if (mode === 'hang') return
      res.writeHead(mode === 'ok' ? 200 : 500, { 'content-type': 'application/json' }).end('{}')
    })
  })
  await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port: 0 }, resolve))
  const address = server.address()
  const port = address !== null && typeof address === 'object' ? address.port : 0
  const self: Collector = {
    url: `http://127.0.0.1:${port}`,
    bodies,
    headers,
    spans: () => bodies.flatMap((body) => spansOf(JSON.parse(body))),
    metrics: () => new Set(bodies.flatMap((body) => metricsOf(JSON.parse(body)))),
    until: async (found) => {
      for (let tries = 0; tries < 400; tries += 1) {
        const value = found(self)
        if (value !== undefined) return value
        await new Promise((after) => setTimeout(after, 25))
      }
      throw new Error(`it did not arrive; ${bodies.length} requests did`)
    },
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return self
}

const list = (value: Json | undefined): readonly JsonObject[] =>
  Array.isArray(value) ? value.filter(isJsonObject) : []
const object = (value: Json | undefined): JsonObject => (isJsonObject(value) ? value : {})
const textOf = (value: Json | undefined): string => (typeof value === 'string' ? value : '')

function attributesOf(value: Json | undefined): { readonly [name: string]: string } {
  return Object.fromEntries(
    list(value).map((one) => [textOf(one['key']), String(Object.values(object(one['value']))[0])]),
  )
}

const spansOf = (body: JsonObject): readonly Received[] =>
  list(body['resourceSpans']).flatMap((one) =>
    list(one['scopeSpans']).flatMap((scope) =>
      list(scope['spans']).map((span) => ({
        name: textOf(span['name']),
        kind: Number(span['kind']),
        traceId: textOf(span['traceId']),
        spanId: textOf(span['spanId']),
        parentSpanId: textOf(span['parentSpanId']) || null,
        attributes: attributesOf(span['attributes']),
        links: list(span['links']).map((link) => ({
          traceId: textOf(link['traceId']),
          spanId: textOf(link['spanId']),
        })),
        status: Number(object(span['status'])['code'] ?? 0),
        schemaUrl: textOf(scope['schemaUrl']),
        resource: attributesOf(object(one['resource'])['attributes']),
      })),
    ),
  )

const metricsOf = (body: JsonObject): readonly string[] =>
  list(body['resourceMetrics']).flatMap((one) =>
    list(one['scopeMetrics']).flatMap((scope) =>
      list(scope['metrics']).map((metric) => textOf(metric['name'])),
    ),
  )

import type { About, Begun, Ended, Probe, StageName } from './stages.ts'
import type { Attributes } from './attributes.ts'
import type { Labels, Meter } from './meter.ts'
import type { Span } from './spans.ts'

/** Told whether a server was reached; not when that did not show. */
export type Reached = (server: string, yes: boolean) => void

/** Times every stage. One for all runs: it keeps nothing between them. */
export function meterProbe(meter: Meter, reached: Reached): Probe {
  return {
    begin: (stage, about) => {
      const started = performance.now()
      return {
        context: null,
        finish: (ended) => {
          const seconds = (performance.now() - started) / 1000
          meter.record('countersign.stage.duration', { stage, end: ended.end }, seconds)
          if (stage !== 'invoke') return
          meter.record('mcp.client.operation.duration', clientLabels(about, ended), seconds)
          const server = about?.attributes?.['countersign.server']
          const yes = isReached(ended)
          if (typeof server === 'string' && yes !== null) reached(server, yes)
        },
      }
    },
  }
}

/**
 * A server chooses the numbers of its errors, so that one could make series without end: those that JSON-RPC and MCP
 * name are told apart, the rest are one.
 */
export function errorLabel(error: string | undefined): string | undefined {
  if (error === undefined || !/^-?\d+$/.test(error)) return error
  const code = Number(error)
  return (code >= -32_768 && code <= -32_000) || (code >= 6_000 && code <= 6_999) ? error : '_OTHER'
}

/** Null: cancelled, busy, revoked or changed says nothing of whether the server is there. */
function isReached({ end, error }: Ended): boolean | null {
  if (end === 'ok' || end === 'failed' || end === 'suspended') return true
  return error !== undefined && gone.has(error) ? false : null
}

const gone: ReadonlySet<string> = new Set([
  'unreachable',
  'bad-configuration',
  'timeout',
  'died',
  'disconnected',
])

function clientLabels(
  about: About | undefined,
  { error, attributes = {} }: Ended,
): Labels<'mcp.client.operation.duration'> {
  const said: Attributes = { ...about?.attributes, ...attributes }
  const of = (name: keyof Attributes): string | undefined =>
    said[name] === undefined ? undefined : String(said[name])
  return {
    'mcp.method.name': of('mcp.method.name'),
    'error.type': errorLabel(error),
    'gen_ai.tool.name': of('gen_ai.tool.name'),
    'gen_ai.prompt.name': of('gen_ai.prompt.name'),
    'gen_ai.operation.name': of('gen_ai.operation.name'),
    'rpc.response.status_code': errorLabel(of('rpc.response.status_code')),
    'mcp.protocol.version': of('mcp.protocol.version'),
    'network.transport': of('network.transport'),
    'network.protocol.name': of('network.protocol.name'),
    'server.address': of('server.address'),
    'server.port': of('server.port'),
  }
}

/** Spans for the stages of one run, below the span of that run. */
export const spanProbe = (run: Span): Probe => ({
  begin: (stage, about) => {
    const span = run.child(about?.name ?? `countersign.${stage}`, {
      kind: about?.kind ?? 'internal',
      attributes: about?.attributes ?? {},
    })
    return {
      context: span.context,
      finish: ({ error, attributes }) => {
        if (attributes !== undefined) span.set(attributes)
        span.end(error)
      },
    }
  },
})

/** Both are told; the second one says where in a trace it stands. */
export const both = (first: Probe, second: Probe): Probe => ({
  begin: (stage: StageName, about?: About): Begun => {
    const one = first.begin(stage, about)
    const other = second.begin(stage, about)
    return {
      context: other.context,
      finish: (ended) => {
        one.finish(ended)
        other.finish(ended)
      },
    }
  },
})

/**
 * Every metric of the broker, as data: `docs/reference/metrics.md` is made from it, and nothing else can be recorded.
 * A label's values come from what is registered, configured or written in this program, never from what an agent or a
 * server sends: a name that anyone can choose would be a payload, and a series for each of them a way to fill memory.
 */
export type Definition = {
  readonly kind: 'counter' | 'gauge' | 'histogram'
  /** UCUM, as OpenTelemetry writes units: `s`, `By`, `1`, `{call}`. */
  readonly unit: string
  readonly help: string
  readonly labels: readonly string[]
  /** Upper bounds of a histogram. */
  readonly buckets?: readonly number[]
}

/** Those that the MCP conventions name for `mcp.*.duration`. */
const operations = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300] as const
/** Stages take from microseconds (a decision) to minutes (a server). */
const stages = [
  0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5, 30, 60,
] as const

const wire = [
  'mcp.method.name',
  'error.type',
  'gen_ai.tool.name',
  'gen_ai.prompt.name',
  'gen_ai.operation.name',
  'rpc.response.status_code',
  'mcp.protocol.version',
  'network.transport',
  'network.protocol.name',
] as const
const session = ['error.type', 'mcp.protocol.version', 'network.transport', 'network.protocol.name'] as const

export const metrics = {
  'mcp.server.operation.duration': {
    kind: 'histogram',
    unit: 's',
    help: 'Requests and notifications of agents, from arrival to answer, waiting for a person included',
    labels: wire,
    buckets: operations,
  },
  'mcp.client.operation.duration': {
    kind: 'histogram',
    unit: 's',
    help: 'Requests to servers, from being handed over to their answer',
    labels: [...wire, 'server.address', 'server.port'],
    buckets: operations,
  },
  'mcp.server.session.duration': {
    kind: 'histogram',
    unit: 's',
    help: 'Sessions of agents that speak a revision before 2026-07-28',
    labels: session,
    buckets: operations,
  },
  'countersign.calls': {
    kind: 'counter',
    unit: '{call}',
    help: 'Runs of the path that reached a tool, by outcome (`docs/reference/refusals.md` says what each means)',
    labels: ['outcome', 'server', 'door'],
  },
  'countersign.refusals': {
    kind: 'counter',
    unit: '{call}',
    help: 'Runs of the path that were refused, by code and stage',
    labels: ['code', 'stage', 'door'],
  },
  'countersign.call.duration': {
    kind: 'histogram',
    unit: 's',
    help: 'One run of the path, as its door sees it; waiting for a person is between two runs',
    labels: ['end'],
    buckets: stages,
  },
  'countersign.stage.duration': {
    kind: 'histogram',
    unit: 's',
    help: 'What one stage asked of its port: the path minus all of these is the broker thinking',
    labels: ['stage', 'end'],
    buckets: stages,
  },
  'countersign.calls.running': {
    kind: 'gauge',
    unit: '{call}',
    help: 'Runs of the path under way',
    labels: [],
  },
  'countersign.calls.held': {
    kind: 'gauge',
    unit: '{call}',
    help: 'Calls that the door holds while a person is asked',
    labels: [],
  },
  'countersign.calls.unsettled': {
    kind: 'gauge',
    unit: '{call}',
    help: 'Intents without an outcome, of every node; those of a dead one are settled as unknown',
    labels: [],
  },
  'countersign.calls.recovered': {
    kind: 'counter',
    unit: '{call}',
    help: 'Intents of dead incarnations that this one settled as unknown',
    labels: [],
  },
  'countersign.asks': {
    kind: 'counter',
    unit: '{ask}',
    help: 'Questions put to people: opened, approved, refused, expired',
    labels: ['event'],
  },
  'countersign.asks.open': {
    kind: 'gauge',
    unit: '{ask}',
    help: 'Questions that wait for a person',
    labels: [],
  },
  'countersign.asks.oldest': {
    kind: 'gauge',
    unit: 's',
    help: 'How long the oldest of them has waited; 0 when none waits',
    labels: [],
  },
  'countersign.tasks.open': { kind: 'gauge', unit: '{task}', help: 'Open tasks', labels: [] },
  'countersign.leases.open': {
    kind: 'gauge',
    unit: '{lease}',
    help: 'Credentials that are lent at this moment',
    labels: [],
  },
  'countersign.revocations': {
    kind: 'gauge',
    unit: '{revocation}',
    help: 'Revocations in force, by what they name',
    labels: ['of'],
  },
  'countersign.owed': {
    kind: 'gauge',
    unit: '{entry}',
    help: 'Refusals and outcomes that could not be recorded and are owed to the log',
    labels: ['kind'],
  },
  'countersign.store.change.duration': {
    kind: 'histogram',
    unit: 's',
    help: 'From handing a change to the store until it is durable, or failed',
    labels: ['verb', 'end'],
    buckets: stages,
  },
  'countersign.store.pending': {
    kind: 'gauge',
    unit: '{change}',
    help: 'Changes that wait to become durable',
    labels: [],
  },
  'countersign.store.batch.size': {
    kind: 'histogram',
    unit: '{change}',
    help: 'Changes that became durable together, as seen by those who wait for them',
    labels: [],
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256],
  },
  'countersign.store.beat.age': {
    kind: 'gauge',
    unit: 's',
    help: 'Since a change of this node last became durable; its heartbeat is one, every second',
    labels: [],
  },
  'countersign.log.size': { kind: 'gauge', unit: '{entry}', help: 'Entries in the log', labels: [] },
  'countersign.log.checkpoint.lag': {
    kind: 'gauge',
    unit: '{entry}',
    help: 'Entries that no signed checkpoint covers yet',
    labels: [],
  },
  'countersign.log.checkpoint.age': {
    kind: 'gauge',
    unit: 's',
    help: 'Since this node last looked after the checkpoint without a problem',
    labels: [],
  },
  'countersign.log.failing': {
    kind: 'gauge',
    unit: '1',
    help: '1 when the log cannot be published, or must not be until an operator has looked',
    labels: [],
  },
  'countersign.sessions.open': {
    kind: 'gauge',
    unit: '{session}',
    help: 'Sessions of agents that speak a revision before 2026-07-28',
    labels: [],
  },
  'countersign.streams.open': {
    kind: 'gauge',
    unit: '{stream}',
    help: 'Streams that tell agents when lists change',
    labels: [],
  },
  'countersign.server.up': {
    kind: 'gauge',
    unit: '1',
    help: '1 when the last call or listing of a server reached it, else 0; absent before the first',
    labels: ['server'],
  },
  'countersign.server.connections': {
    kind: 'gauge',
    unit: '{connection}',
    help: 'Processes and sessions of a server',
    labels: ['server'],
  },
  'countersign.server.dropped': {
    kind: 'counter',
    unit: '{message}',
    help: 'What a server sent that went nowhere since the broker started, by sort',
    labels: ['server', 'what'],
  },
  'countersign.tools': {
    kind: 'gauge',
    unit: '{tool}',
    help: 'Registered tools by state; quarantined ones wait for a review',
    labels: ['server', 'state'],
  },
  'countersign.ready': {
    kind: 'gauge',
    unit: '1',
    help: '1 when a condition of readiness holds; `/readyz` asks for all of them',
    labels: ['check'],
  },
  'countersign.faults': {
    kind: 'counter',
    unit: '{fault}',
    help: 'Surprises in the broker itself: each is worth a look',
    labels: [],
  },
  'countersign.observe.failures': {
    kind: 'counter',
    unit: '{failure}',
    help: 'What could not be told: exports that failed, spans that found no place, readings that threw',
    labels: ['what'],
  },
  'countersign.build.info': {
    kind: 'gauge',
    unit: '1',
    help: 'Always 1; the labels say what runs',
    labels: ['version', 'node', 'environment'],
  },
  'nodejs.eventloop.delay.p50': {
    kind: 'gauge',
    unit: 's',
    help: 'Event loop delay since the last reading: median',
    labels: [],
  },
  'nodejs.eventloop.delay.p99': {
    kind: 'gauge',
    unit: 's',
    help: 'Event loop delay since the last reading: 99th percentile',
    labels: [],
  },
  'nodejs.eventloop.delay.max': {
    kind: 'gauge',
    unit: 's',
    help: 'Event loop delay since the last reading: longest',
    labels: [],
  },
  'nodejs.eventloop.utilization': {
    kind: 'gauge',
    unit: '1',
    help: 'Share of the time since the last reading in which the event loop was busy',
    labels: [],
  },
  'v8js.memory.heap.used': { kind: 'gauge', unit: 'By', help: 'JavaScript heap in use', labels: [] },
  'process.memory.usage': { kind: 'gauge', unit: 'By', help: 'Resident set size', labels: [] },
  'process.cpu.time': {
    kind: 'counter',
    unit: 's',
    help: 'Processor time of the process, by mode',
    labels: ['cpu.mode'],
  },
  'process.uptime': { kind: 'gauge', unit: 's', help: 'Since the process started', labels: [] },
} as const satisfies { readonly [name: string]: Definition }

export type MetricName = keyof typeof metrics
export type LabelOf<Name extends MetricName> = (typeof metrics)[Name]['labels'][number]
export type Of<Kind extends Definition['kind']> = {
  [Name in MetricName]: (typeof metrics)[Name]['kind'] extends Kind ? Name : never
}[MetricName]

export const definitionOf = (name: MetricName): Definition => metrics[name]

/** In the order of the catalogue. */
export const metricNames = Object.keys(metrics).filter((name): name is MetricName =>
  Object.hasOwn(metrics, name),
)

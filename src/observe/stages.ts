import { writeTraceparent, type TraceContext } from './context.ts'
import type { Attributes } from './attributes.ts'
import type { Operation, Outgoing, ServerAnswer } from '../server/answer.ts'
import type { PolicySnapshot } from '../policy/judge.ts'
import type { Ports } from '../call/ports.ts'
import type { SpanKind } from './spans.ts'

/** The stages as their ports see them: what has no port (resolve, label) takes no time worth a span. */
export type StageName =
  | 'authenticate'
  | 'bind'
  | 'catch-up'
  | 'decide'
  | 'approve'
  | 'intend'
  | 'lend'
  | 'invoke'
  | 'settle'
  | 'record'

/** How a stage's use of its port ended. `end` and `error` are codes. */
export type Ended = {
  readonly end: string
  readonly error?: string | undefined
  readonly attributes?: Attributes
}

export type Begun = {
  /** Where this stands, for whom it concerns next; null when nobody traces it. */
  readonly context: TraceContext | null
  finish(ended: Ended): void
}

export type About = { readonly name?: string; readonly kind?: SpanKind; readonly attributes?: Attributes }

/** What watches the stages. Told in order: each begins and finishes within the run that it was made for. */
export type Probe = { begin(stage: StageName, about?: About): Begun }

export type Watching = {
  readonly probe: Probe
  /** How a server is reached, for the conventions. Registered and configured values only. */
  readonly upstream: (server: string) => Attributes
  /** Whether servers are told where a call stands. */
  readonly propagate: boolean
}

/**
 * The path's ports with somebody watching: each asks the same, gets the same and fails the same. Stages do not know it.
 * Whatever else a port can do is passed through by the copies below, or the types complain.
 */
export function watched(ports: Ports, watching: Watching): Ports {
  const { probe } = watching
  const { verifier, tasks, policies, approvals, calls, log, lenders, servers } = ports
  return {
    ...ports,
    verifier: {
      verify: (credential, now) =>
        during(
          probe.begin('authenticate'),
          () => verifier.verify(credential, now),
          (verified) => (verified.ok ? fine : { end: verified.problem, error: verified.problem }),
        ),
    },
    tasks: {
      snapshot: (id, now) =>
        during(
          probe.begin('bind'),
          () => tasks.snapshot(id, now),
          (bound) => ({ end: bound === null ? 'no-task' : 'ok' }),
        ),
    },
    catchUp: (heads) =>
      during(
        probe.begin('catch-up'),
        () => ports.catchUp(heads),
        () => fine,
      ),
    policies: { snapshot: () => watchedPolicies(policies.snapshot(), probe) },
    approvals: watchedApprovals(approvals, probe),
    calls: watchedCalls(calls, probe),
    log: {
      append: (entry, payload) =>
        during(
          probe.begin('record'),
          () => log.append(entry, payload),
          () => fine,
        ),
    },
    lenders: {
      lend: (request) =>
        during(
          probe.begin('lend'),
          () => lenders.lend(request),
          (lease) => ('problem' in lease ? { end: lease.problem, error: lease.problem } : fine),
        ),
      close: (lease, row) => lenders.close(lease, row),
    },
    servers: { ...servers, invoke: (outgoing) => invoke(watching, outgoing, servers) },
  }
}

const fine: Ended = { end: 'ok' }

function watchedApprovals(approvals: Ports['approvals'], probe: Probe): Ports['approvals'] {
  return {
    get: (id) =>
      during(
        probe.begin('approve'),
        () => approvals.get(id),
        (ask) => ({ end: ask?.state ?? 'none' }),
      ),
    find: (digest, now) =>
      during(
        probe.begin('approve'),
        () => approvals.find(digest, now),
        (ask) => ({ end: ask?.state ?? 'none' }),
      ),
    ask: (ask) =>
      during(
        probe.begin('approve'),
        () => approvals.ask(ask),
        (asked) =>
          asked.ok
            ? { end: 'asked', attributes: { 'countersign.ask.id': asked.ask.id } }
            : { end: asked.problem, error: asked.problem },
      ),
  }
}

function watchedCalls(calls: Ports['calls'], probe: Probe): Ports['calls'] {
  return {
    intend: (request) =>
      during(
        probe.begin('intend'),
        () => calls.intend(request),
        ({ kind }) => ({
          end: kind,
          error: kind === 'intended' || kind === 'moved' ? undefined : kind,
          attributes: { 'countersign.intend.result': kind },
        }),
      ),
    settle: (request) =>
      during(
        probe.begin('settle'),
        () => calls.settle(request),
        (settled) =>
          'problem' in settled
            ? { end: settled.problem, error: settled.problem === 'moved' ? undefined : settled.problem }
            : { end: 'ok', attributes: { 'countersign.outcome': request.outcome } },
      ),
    hold: (held) =>
      during(
        probe.begin('approve'),
        () => calls.hold(held),
        () => ({ end: 'held' }),
      ),
  }
}

/** The judge is synchronous, and stays it. */
function watchedPolicies(snapshot: PolicySnapshot, probe: Probe): PolicySnapshot {
  return {
    version: snapshot.version,
    reads: (tool) => snapshot.reads(tool),
    judge: (question) => {
      const { finish } = probe.begin('decide')
      const judgement = snapshot.judge(question)
      const { decision } = judgement
      finish({
        end: judgement.errors.length > 0 ? 'error' : decision,
        error: judgement.errors.length > 0 ? 'evaluation' : undefined,
        attributes: { 'countersign.decision': decision },
      })
      return judgement
    },
  }
}

async function during<Result>(
  { finish }: Begun,
  work: () => Promise<Result>,
  told: (result: Result) => Ended,
): Promise<Result> {
  try {
    const result = await work()
    finish(told(result))
    return result
  } catch (surprise) {
    finish({ end: 'fault', error: 'fault' })
    throw surprise
  }
}

export const methods: { readonly [Name in Operation]: string } = {
  call: 'tools/call',
  read: 'resources/read',
  get: 'prompts/get',
  complete: 'completion/complete',
  subscribe: 'resources/subscribe',
}

/** The request to the server: a client span of the MCP conventions, and the only thing that servers learn of a trace. */
function invoke(
  { probe, upstream, propagate }: Watching,
  outgoing: Outgoing,
  servers: Ports['servers'],
): Promise<ServerAnswer> {
  const { operation, definition, server } = outgoing
  const method = methods[operation]
  const named =
    definition.kind === 'tool'
      ? { 'gen_ai.tool.name': definition.name }
      : definition.kind === 'prompt'
        ? { 'gen_ai.prompt.name': definition.name }
        : {}
  const target = definition.kind === 'tool' || definition.kind === 'prompt' ? ` ${definition.name}` : ''
  const begun = probe.begin('invoke', {
    name: `${method}${target}`,
    kind: 'client',
    attributes: {
      'mcp.method.name': method,
      ...(operation === 'call' ? { 'gen_ai.operation.name': 'execute_tool' } : {}),
      ...named,
      'countersign.server': server,
      ...upstream(server),
    },
  })
  const { context } = begun
  const told =
    context === null || !propagate
      ? outgoing
      : { ...outgoing, trace: { traceparent: writeTraceparent(context) } }
  return during(begun, () => servers.invoke(told), answered)
}

/** `error.type` by the MCP conventions: the number of a JSON-RPC error, `tool_error`, or a code of ours. */
function answered(answer: ServerAnswer): Ended {
  switch (answer.kind) {
    case 'result':
      return answer.isError ? { end: 'failed', error: 'tool_error' } : fine
    case 'error': {
      const code = String(Math.trunc(answer.code))
      return { end: 'failed', error: code, attributes: { 'rpc.response.status_code': code } }
    }
    case 'input':
      return { end: 'suspended' }
    case 'not-sent':
      return { end: 'not-sent', error: answer.problem }
    case 'unknown':
      return { end: 'unknown', error: answer.problem }
  }
}

import { closeAfterFault } from './fault.ts'
import { refuse, type Refused } from './refusal.ts'
import { rfc3339 } from '../lib/clock.ts'
import { toIJsonText } from '../lib/jcs.ts'
import type { Answered, Approved, Arrival, Authenticated, Equipped, Intended, Settled } from './states.ts'
import type { Flow } from '../flow/flow.ts'
import type { Caller } from '../identity/caller.ts'
import type { IntentEntry, Payload, RefusedEntry, What, Who } from '../audit/entry.ts'
import type { Ports } from './ports.ts'
import type { Tool } from '../registry/tool.ts'

/** Arguments of refused calls above this many bytes are committed to and not kept: refusals must not fill the disk. */
const keptBytes = 64 * 1024

/**
 * Ends a run that was refused: with an entry, durable before the caller hears of it. Floods are counted and written
 * as one entry later. When the log cannot be written the refusal stands all the same and is owed (I7).
 */
export async function record(ports: Ports, arrival: Arrival, refused: Refused): Promise<Refused> {
  try {
    await write(ports, arrival, refused)
  } catch {
    ports.owed.refusal(refused.code)
  }
  return refused
}

async function write(ports: Ports, arrival: Arrival, refused: Refused): Promise<void> {
  const { caller, tool, arguments: args } = refused.known
  const at = ports.clock.now()
  const { door } = arrival
  const { code } = refused
  const alike = { caller: caller ?? null, door, code, tool: tool?.id ?? null }
  if (ports.refusals.admit(alike, at) === 'count') return
  const payload = caller && args ? ports.recorder.commit('arguments', args) : null
  const kept = payload !== null && payload.bytes.length <= keptBytes ? payload : null
  await ports.log.append(ports.recorder.encode(entryOf(arrival, refused, { at, payload, ports })), kept)
}

/** A surprise becomes a closed outcome: before the commit point a refusal, after it a settled call of unknown end. */
export async function surprised(
  ports: Ports,
  arrival: Arrival,
  reached: Authenticated | Intended | Equipped | Answered | null,
  surprise: unknown,
): Promise<Settled | Refused> {
  // Only products of the commit point or later carry the approval here: its intent is durable and is owed an outcome.
  if (reached !== null && 'approval' in reached) return closeAfterFault(ports, reached, surprise)
  const storeIsDown = surprise instanceof Error && surprise.name === 'StoreUnavailable'
  const code = storeIsDown ? 'audit-unavailable' : 'fault'
  const known = reached === null ? {} : { caller: reached.caller, task: reached.caller.task }
  return record(ports, arrival, refuse(code, 'any', wordsOf(surprise), { known }))
}

/** A surprise's own words, for operators. Stacks and causes stay out of entries. */
export const wordsOf = (surprise: unknown): string =>
  (surprise instanceof Error ? `${surprise.name}: ${surprise.message}` : 'a surprise that is no Error').slice(
    0,
    500,
  )

export const whoOf = (caller: Caller): Who => ({
  issuer: caller.issuer,
  kind: caller.kind,
  name: caller.name,
  onBehalfOf: caller.onBehalfOf,
  proven: caller.proven,
})

export const describe = (tool: Tool, operation: string): What => ({
  digest: tool.digest,
  effects: tool.review?.effects ?? [],
  operation,
  tool: tool.id,
})

function entryOf(
  arrival: Arrival,
  refused: Refused,
  made: { readonly at: number; readonly payload: Payload | null; readonly ports: Pick<Ports, 'settings'> },
): RefusedEntry {
  const { known } = refused
  return {
    v: 1,
    kind: 'refused',
    at: rfc3339(made.at),
    broker: made.ports.settings.broker,
    call: arrival.call,
    stage: refused.stage,
    code: refused.code,
    reason: toIJsonText(refused.reason.slice(0, 1000)),
    who: known.caller ? whoOf(known.caller) : null,
    task: known.task ?? null,
    what: known.tool ? describe(known.tool, known.operation ?? arrival.wanted.operation) : null,
    wanted: known.tool
      ? null
      : toIJsonText(
          `${arrival.wanted.operation} ${arrival.wanted.server}/${arrival.wanted.name}`.slice(0, 200),
        ),
    arguments: made.payload?.commitment ?? null,
    policy: known.policy ?? null,
    policies: known.policies ?? [],
    ask: refused.ask?.id ?? null,
    count: 1,
  }
}

/**
 * What the commit point writes: who, what, under which policy, labels and approval. Members stand in the order of the
 * canonical form, which then has nothing to sort.
 */
export function intentOf(
  product: Approved,
  made: { readonly at: number; readonly payload: Payload; readonly broker: string },
): IntentEntry {
  const { arrival, bound, caller, tool, judgement, policy, approval, flow } = product
  return {
    approval:
      approval === null
        ? null
        : {
            answers: approval.answers,
            ask: approval.ask,
            digest: approval.digest,
            requirement: approval.requirement,
          },
    arguments: made.payload.commitment,
    at: rfc3339(made.at),
    broker: made.broker,
    call: arrival.call,
    chain: arrival.chain,
    ...(flow.targets.length === 0 ? {} : { flow: flowOf(flow) }),
    kind: 'intent',
    labels: bound.labels,
    policies: judgement.policies,
    policy: policy.version,
    task: bound.task.id,
    v: 1,
    what: describe(tool, arrival.wanted.operation),
    who: whoOf(caller),
  }
}

const mostTargets = 16

/** Arguments by name and calls by id, never a value. */
const flowOf = ({ targets, risk }: Flow): NonNullable<IntentEntry['flow']> => ({
  risk,
  targets: targets.slice(0, mostTargets).map(({ at, kind, origin, met }) => ({
    at: toIJsonText(at.slice(0, 1000)),
    call: met?.call ?? null,
    kind,
    origin,
    tool: met?.tool.slice(0, 1000) ?? null,
  })),
})

import { closeAfterFault } from './fault.ts'
import { refuse, type Refused } from './refusal.ts'
import { rfc3339 } from '../lib/clock.ts'
import type { Answered, Arrival, Equipped, Intended, Settled } from './states.ts'
import type { Caller } from '../identity/caller.ts'
import type { Payload, RefusedEntry, What, Who } from '../audit/entry.ts'
import type { Ports } from './ports.ts'
import type { Tool } from '../registry/tool.ts'

/**
 * Ends a run that was refused: with an entry, durable before the caller hears of it. Floods are counted and written
 * as one entry later. When the log cannot be written the refusal stands all the same and is owed (I7).
 */
export async function record(ports: Ports, arrival: Arrival, refused: Refused): Promise<Refused> {
  const { caller, tool } = refused.known
  const at = ports.clock.now()
  const admitted = ports.refusals.admit(
    { caller: caller ?? null, door: arrival.door, code: refused.code, tool: tool?.id ?? null },
    at,
  )
  if (admitted === 'count') return refused
  try {
    const payload =
      caller && refused.known.arguments ? ports.recorder.commit('arguments', refused.known.arguments) : null
    await ports.log.append(ports.recorder.encode(entryOf(arrival, refused, { at, payload, ports })), payload)
  } catch {
    ports.owed.refusal(refused.code)
  }
  return refused
}

/** A surprise becomes a closed outcome: before the commit point a refusal, after it a settled call of unknown end. */
export async function surprised(
  ports: Ports,
  arrival: Arrival,
  reached: Intended | Equipped | Answered | null,
  surprise: unknown,
): Promise<Settled | Refused> {
  if (reached !== null) return closeAfterFault(ports, reached, surprise)
  const storeIsDown = surprise instanceof Error && surprise.name === 'StoreUnavailable'
  const code = storeIsDown ? 'audit-unavailable' : 'fault'
  return record(ports, arrival, refuse(code, 'any', wordsOf(surprise)))
}

/** A surprise's own words, for operators. Stacks and causes stay out of entries. */
export const wordsOf = (surprise: unknown): string =>
  (surprise instanceof Error ? `${surprise.name}: ${surprise.message}` : 'a surprise that is no Error').slice(
    0,
    500,
  )

export const whoOf = (caller: Caller): Who => ({
  kind: caller.kind,
  name: caller.name,
  onBehalfOf: caller.onBehalfOf,
  proven: caller.proven,
  issuer: caller.issuer,
})

export const describe = (tool: Tool, operation: string): What => ({
  tool: tool.id,
  digest: tool.digest,
  effects: tool.review?.effects ?? [],
  operation,
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
    reason: refused.reason.slice(0, 1000).toWellFormed(),
    who: known.caller ? whoOf(known.caller) : null,
    task: known.task ?? null,
    what: known.tool ? describe(known.tool, known.operation ?? arrival.wanted.operation) : null,
    wanted: known.tool
      ? null
      : `${arrival.wanted.operation} ${arrival.wanted.server}/${arrival.wanted.name}`.slice(0, 200).toWellFormed(),
    arguments: made.payload?.commitment ?? null,
    policy: known.policy ?? null,
    policies: known.policies ?? [],
    ask: refused.ask?.id ?? null,
    count: 1,
  }
}

import { approve } from './approve.ts'
import { authenticate } from './authenticate.ts'
import { bind } from './bind.ts'
import { decide } from './decide.ts'
import { intend } from './intend.ts'
import { invoke } from './invoke.ts'
import { isEquipped, lend } from './lend.ts'
import { isRefused, refuse, type Refused } from './refusal.ts'
import { label } from './label.ts'
import { record, surprised } from './record.ts'
import { resolve } from './resolve.ts'
import { settle } from './settle.ts'
import type { Answered, Arrival, Authenticated, Equipped, Intended, Settled } from './states.ts'
import type { Ports } from './ports.ts'
import type { Turn } from './turns.ts'

/**
 * THE CONTROL PATH. Every door reaches a tool through this function and nothing else does.
 *
 *     1 authenticate   who asks, on whose behalf, how that is proven
 *     2 bind           to exactly one open task, with its labels, history and budget as of now
 *     3 resolve        to one tool that a person reviewed, arguments checked
 *     4 decide         allow, ask or deny; pure
 *     5 approve        the answers recorded for this very call, put through the same judge again
 *     6 intend         THE COMMIT POINT: history compared, approval consumed, budget taken, intent written
 *     7 lend           the narrowest credential; revocation compared again
 *     8 invoke         the outside world
 *     9 label          classified, redacted, joined with what the task has read; pure
 *    10 settle         outcome and raised labels durable; revocation compared a third time
 *
 * A refusal is a value and ends the run with an entry. A surprise before 6 is a refusal; after 6 it is a settled call
 * whose outcome is unknown. Nothing is retried once it may have been sent.
 */
export async function run(ports: Ports, arrival: Arrival): Promise<Settled | Refused> {
  let reached: Authenticated | Intended | Equipped | Answered | null = null
  try {
    const caller = await authenticate(ports, arrival)
    if (isRefused(caller)) return await record(ports, arrival, caller)
    reached = caller

    const committed = await commit(ports, caller)
    if (isRefused(committed)) return await record(ports, arrival, committed)
    reached = committed

    const equipped = await lend(ports, committed)
    reached = equipped
    const answered = isEquipped(equipped) ? await invoke(ports, equipped) : equipped
    const labelled = label(ports, answered)
    return await settle(ports, labelled)
  } catch (surprise) {
    return surprised(ports, arrival, reached, surprise)
  }
}

/** Stages 2 to 6, again when what the decision read has moved meanwhile. */
async function commit(ports: Ports, caller: Authenticated): Promise<Intended | Refused> {
  const turn = await ports.turns.take(caller.caller.name)
  if (turn === null)
    return refuse('too-much-movement', 'intend', 'too many calls of this agent wait', known(caller))
  try {
    return await inTurn(ports, caller, turn)
  } finally {
    turn.end()
  }
}

async function inTurn(ports: Ports, caller: Authenticated, turn: Turn): Promise<Intended | Refused> {
  for (let attempt = 1; attempt <= 5; attempt += 1) {
    const bound = await bind(ports, caller)
    if (isRefused(bound)) return bound

    const resolved = resolve(ports, bound)
    if (isRefused(resolved)) return resolved

    const decided = decide(ports, resolved)
    if (isRefused(decided)) return decided

    const approved = await approve(ports, decided)
    if (isRefused(approved)) return approved

    const intended = await intend(ports, approved)
    if (intended !== 'moved') return intended
    await turn.moved()
  }
  return refuse('too-much-movement', 'intend', 'what the decision read moved each time', known(caller))
}

const known = ({ caller }: Authenticated) => ({ known: { caller, task: caller.task } })

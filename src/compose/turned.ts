import { newId } from '../lib/id.ts'
import { rfc3339 } from '../lib/clock.ts'
import { whoOf } from '../call/record.ts'
import type { Caller } from '../identity/caller.ts'
import type { Ground } from './core.ts'
import type { Ports } from '../call/ports.ts'
import type { RefusedEntry } from '../audit/entry.ts'

/**
 * A request for which there was no place leaves an entry as a refused call does. Who sends too many sends many: a
 * flood of them is counted by agent, as other refusals are, and takes nothing from the writer's queue.
 */
export async function recordTurnedAway(
  { ground, ports }: { readonly ground: Ground; readonly ports: Ports },
  caller: Caller,
  why: 'own' | 'all',
): Promise<void> {
  const at = ground.clock.now()
  const code = 'too-many-calls'
  if (ports.refusals.admit({ caller, door: 'mcp', code, tool: null }, at) === 'count') return
  const whose = why === 'own' ? 'of this agent' : 'of all agents together'
  const entry: RefusedEntry = {
    v: 1,
    kind: 'refused',
    at: rfc3339(at),
    broker: ground.broker,
    call: newId('c'),
    stage: 'door',
    code,
    reason: `too many requests ${whose} were under way; it was not looked at`,
    who: whoOf(caller),
    task: caller.task,
    what: null,
    wanted: 'a request that was not looked at',
    arguments: null,
    policy: null,
    policies: [],
    ask: null,
    count: 1,
  }
  try {
    await ports.log.append(ports.recorder.encode(entry), null)
  } catch {
    ports.owed.refusal(code)
  }
}

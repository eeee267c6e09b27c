import { isRefused, refuse, type Refused } from '../../call/refusal.ts'
import type { Caller, Credential } from '../../identity/caller.ts'
import type { DoorPorts } from './ports.ts'
import type { Task } from '../../task/task.ts'

/** RFC 6750 section 2.1, the header alone: a token in a URL or a body ends up in logs. */
export function bearerOf(header: string | null): Credential {
  const token = /^Bearer +([A-Za-z0-9\-._~+/]+=*) *$/i.exec(header ?? '')?.[1]
  return token === undefined ? { kind: 'none' } : { kind: 'bearer', token }
}

/** Names a caller over the lifetime of its tokens. Sessions and request states are bound to it and to its task. */
export const subjectOf = (caller: Caller): string =>
  JSON.stringify([caller.kind, caller.issuer, caller.name, caller.onBehalfOf])

/** The open task that a caller's token names, for what is no call. The path asks the same again at every call. */
export async function taskOf(
  ports: Pick<DoorPorts, 'tasks' | 'clock'>,
  caller: Caller,
): Promise<Task | Refused> {
  const task = await ports.tasks.get(caller.task)
  if (task === null || task.agent !== caller.name)
    return refuse('no-task', 'bind', 'the token names no task of this caller')
  const ended = task.state === 'closed' || ports.clock.now() >= task.expiresAt
  return ended ? refuse('task-closed', 'bind', 'the task has ended') : task
}

/** Whether a caller and its task still stand, for streams that outlive the request that opened them. */
export async function stillStands(ports: DoorPorts, credential: Credential): Promise<boolean> {
  try {
    const caller = await ports.authenticate(credential)
    return !isRefused(caller) && !isRefused(await taskOf(ports, caller))
  } catch {
    return false
  }
}

import { refuse, type Refused } from '../../call/refusal.ts'
import type { DoorPorts } from './ports.ts'
import type { Endpoint } from './name.ts'
import type { JsonObject } from '../../lib/json.ts'
import type { Task } from '../../task/task.ts'

/** What both eras say of the broker: the same to everyone who may see the same. */
export const serverInfo = (ports: Pick<DoorPorts, 'settings'>): JsonObject => ({
  name: 'countersign',
  title: 'Countersign',
  version: ports.settings.version,
})

/** No tasks extension: nothing is declared that is not kept. The same whatever the servers behind it can do. */
export const capabilities: JsonObject = {
  tools: { listChanged: true },
  prompts: { listChanged: true },
  resources: { listChanged: true, subscribe: true },
  completions: {},
  logging: {},
}

const own =
  'Every call goes through Countersign, which decides each one. A refusal says what to do next: do that, and do not try to reach the same end another way. A call that waits for a person is kept; run `countersign_resume` with its call id once it was answered, instead of sending it again. `countersign_status` says what waits.'

const perServer = 4_096
const inAll = 32 * 1024

/** The broker's own words, then the reviewed instructions of each server that the task may see. */
export function instructions(ports: Pick<DoorPorts, 'registry'>, endpoint: Endpoint, task: Task): string {
  const texts = visibleServers(ports, endpoint, task).flatMap((server) => {
    const text = ports.registry.instructions(server)
    if (text === null || text === '') return []
    const prefix = endpoint.kind === 'all' ? `Tools that start with \`${server}__\`` : `Server \`${server}\``
    return [`${prefix}:\n${text.slice(0, perServer)}`]
  })
  return [own, ...texts].join('\n\n').slice(0, inAll)
}

/** Servers of an endpoint in which the task's patterns could cover anything. */
export function visibleServers(
  ports: Pick<DoorPorts, 'registry'>,
  endpoint: Endpoint,
  task: Task,
): readonly string[] {
  const servers = ports.registry
    .servers()
    .filter((server) => endpoint.kind === 'all' || server === endpoint.server)
  return servers.filter((server) =>
    task.tools.some((pattern) => pattern === '*' || pattern.startsWith(`${server}/`)),
  )
}

/** A server outside the task and one that does not exist are told alike. Null when the endpoint can be shown. */
export function endpointProblem(
  ports: Pick<DoorPorts, 'registry'>,
  endpoint: Endpoint,
  task: Task,
): Refused | null {
  if (endpoint.kind === 'all' || visibleServers(ports, endpoint, task).length > 0) return null
  return refuse('unknown-tool', 'resolve', `no server \`${endpoint.server}\` for this task`, {
    hint: 'There is no such server for this task; `/mcp` shows all that there is.',
  })
}

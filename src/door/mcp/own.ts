import { isId } from '../../lib/id.ts'
import { rfc3339 } from '../../lib/clock.ts'
import { callKey } from '../wire.ts'
import type { Ask } from '../../approval/ask.ts'
import type { Caller } from '../../identity/caller.ts'
import type { DoorPorts } from './ports.ts'
import type { HeldCall } from '../../store/ports.ts'
import type { Json, JsonObject } from '../../lib/json.ts'
import type { Task } from '../../task/task.ts'

/**
 * The broker's own tools, on every endpoint. Models rarely repeat arguments to the letter, so a call that waited for a
 * person is run again by its id; they reach nothing but the caller's own task.
 */
const call = {
  type: 'string',
  pattern: '^c_[0-9A-Za-z]{22}$',
  description: 'the call id that the answer to the waiting call gave',
}

export const ownTools = [
  {
    name: 'countersign_resume',
    title: 'Resume a call that waited for approval',
    description:
      'Runs a call that was waiting for a person, with exactly the arguments it had. Use it with the call id from the answer that said the call waits; do not send the original call again.',
    inputSchema: { type: 'object', properties: { call }, required: ['call'], additionalProperties: false },
  },
  {
    name: 'countersign_status',
    title: 'What this task may do and what waits',
    description:
      'Says how this task stands and which of its calls wait for a person; with a call id, how that call stands. Changes nothing.',
    inputSchema: { type: 'object', properties: { call }, additionalProperties: false },
    annotations: { readOnlyHint: true, openWorldHint: false },
  },
] as const satisfies readonly JsonObject[]

export type OwnTool = (typeof ownTools)[number]['name']

export const isOwn = (name: string): name is OwnTool => ownTools.some((tool) => tool.name === name)

/** Reads the `call` argument. Null when it is absent; a problem when it is no call id. */
export function readCallId(
  args: JsonObject,
): { readonly call: string | null } | { readonly problem: string } {
  const stray = Object.keys(args).find((name) => name !== 'call')
  if (stray !== undefined)
    return { problem: `expected no argument \`${stray.slice(0, 64)}\`; only \`call\` is known` }
  const given: Json | undefined = args['call']
  if (given === undefined) return { call: null }
  return typeof given === 'string' && isId('c', given)
    ? { call: given }
    : { problem: 'expected `call` to be a call id: `c_` and 22 letters or digits' }
}

type Own = { readonly caller: Caller; readonly task: Task }

/** The kept call, when it is the caller's own. Somebody else's and none are told alike. */
export async function ownHeld(
  ports: Pick<DoorPorts, 'calls'>,
  { caller, task }: Own,
  id: string,
): Promise<HeldCall | null> {
  const held = await ports.calls.held(id)
  return held !== null && held.task === task.id && held.agent === caller.name ? held : null
}

/** The result of `countersign_status`. */
export async function status(ports: DoorPorts, own: Own, args: JsonObject): Promise<JsonObject> {
  const read = readCallId(args)
  if ('problem' in read) return told(read.problem, { problem: read.problem }, true)
  return read.call === null ? statusOfTask(ports, own) : statusOfCall(ports, own, read.call)
}

async function statusOfTask(ports: DoorPorts, { task }: Own): Promise<JsonObject> {
  const waiting = (await ports.approvals.waiting(task.id)).filter((ask) => ask.task === task.id).slice(0, 50)
  const shown = {
    task: task.id,
    purpose: task.purpose.class,
    environment: task.environment,
    tools: task.tools,
    endsAt: rfc3339(task.expiresAt),
    waiting: waiting.map((ask) => ({ call: ask.call, tool: ask.tool, answerBy: rfc3339(ask.expiresAt) })),
  }
  const lines = waiting.map(
    (ask) => `- ${ask.call}: \`${ask.tool}\` waits for a person until ${rfc3339(ask.expiresAt)}`,
  )
  return told(
    [
      `The task is open until ${shown.endsAt}.`,
      waiting.length === 0 ? 'No call waits for a person.' : 'Waiting:',
      ...lines,
    ].join('\n'),
    shown,
  )
}

async function statusOfCall(ports: DoorPorts, own: Own, id: string): Promise<JsonObject> {
  const held = await ownHeld(ports, own, id)
  if (held === null) return told(noSuchCall, { call: id, state: 'unknown' }, true)
  const ask = await ports.approvals.get(held.ask)
  const state = stateOf(ask, ports.clock.now())
  return told(`${id}: ${words[state]}`, {
    call: id,
    state,
    tool: ask?.tool ?? null,
    answerBy: rfc3339(held.expiresAt),
  })
}

export const noSuchCall =
  'This task has no such call that is kept. Check the call id; calls are kept while their question to a person is open.'

export type HeldState = Ask['state']

/** How a kept call stands. What nobody answered by its end has expired, whether or not the store was told yet. */
export const stateOf = (ask: Ask | null, now: number): HeldState => {
  if (ask === null) return 'expired'
  return ask.state === 'pending' && now >= ask.expiresAt ? 'expired' : ask.state
}

const words: { readonly [state in HeldState]: string } = {
  pending: 'it waits for a person. Look again later.',
  approved: 'a person approved it. Run `countersign_resume` with this call id.',
  refused: 'a person refused it. Do not repeat it; ask what to do instead.',
  expired: 'nobody answered in time. Make the call again if it is still needed.',
  consumed: 'it was approved and has been made. Do not send it again.',
}

function told(text: string, shown: JsonObject, isError = false): JsonObject {
  const call = shown['call']
  return {
    content: [{ type: 'text', text }],
    structuredContent: shown,
    ...(isError ? { isError } : {}),
    _meta: typeof call === 'string' ? { [callKey]: call } : {},
  }
}

import type { Class } from './attributes.ts'

/** Every field that a log line may have, with its class. What has no class is secret and cannot be written. */
export const fields = {
  time: { class: 'public', says: 'RFC 3339, UTC' },
  level: { class: 'public', says: '`debug`, `info`, `warn` or `error`' },
  event: { class: 'public', says: 'what happened: a word of this program' },
  broker: { class: 'internal', says: 'the incarnation that writes' },
  call: { class: 'internal', says: 'id of the call' },
  task: { class: 'internal', says: 'id of the task' },
  trace: { class: 'internal', says: 'id of the trace, when it is traced' },
  ask: { class: 'internal', says: 'id of the question to a person' },
  agent: { class: 'internal', says: 'registered name of the agent' },
  tool: { class: 'internal', says: 'id of a registered tool; never a name that an agent made up' },
  server: { class: 'internal', says: 'registered name of a server' },
  end: { class: 'public', says: 'outcome, or code of a refusal' },
  state: { class: 'public', says: 'state of an ask' },
  act: { class: 'public', says: 'what an operator did; who, and to what, stands in the log of the broker' },
  ms: { class: 'public', says: 'how long it took' },
  count: { class: 'public', says: 'how many' },
  error: { class: 'public', says: "a class of error, never an error's words" },
  at: { class: 'public', says: 'file and line of this program where it came from' },
  agents: { class: 'internal', says: "address of the agents' listener" },
  operators: { class: 'internal', says: "address of the operators' listener" },
  version: { class: 'public', says: 'of the broker' },
  signal: { class: 'public', says: 'what asked it to stop' },
} as const satisfies { readonly [name: string]: { readonly class: Class; readonly says: string } }

export type Field = keyof typeof fields
export const levels = ['debug', 'info', 'warn', 'error'] as const
export type Level = (typeof levels)[number]

/** Every event, with its level. */
export const events = {
  ready: 'info',
  draining: 'info',
  stopping: 'info',
  stopped: 'info',
  call: 'info',
  refused: 'info',
  ask: 'info',
  answered: 'info',
  act: 'info',
  recovered: 'warn',
  'server-problem': 'warn',
  fault: 'error',
} as const satisfies { readonly [event: string]: Level }
export type EventName = keyof typeof events

export type Said = {
  readonly [Name in Exclude<Field, 'time' | 'level' | 'event' | 'broker'>]?:
    string | number | null | undefined
}

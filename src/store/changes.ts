import * as agents from './verbs/agents.ts'
import * as approvals from './verbs/approvals.ts'
import * as calls from './verbs/calls.ts'
import * as log from './verbs/log.ts'
import * as policies from './verbs/policies.ts'
import * as registry from './verbs/registry.ts'
import * as revocations from './verbs/revocations.ts'
import * as secrets from './verbs/secrets.ts'
import * as settings from './verbs/settings.ts'
import * as tasks from './verbs/tasks.ts'
import type { Rows, Step } from './query.ts'

/** Every verb that changes something, by name: a name and plain data can cross to a thread, a function cannot. */
export const changes = {
  'agents.add': agents.add,
  'agents.update': agents.update,
  'agents.useProof': agents.useProof,
  'approvals.answer': approvals.answer,
  'approvals.ask': approvals.ask,
  'calls.hold': calls.hold,
  'calls.intend': calls.intend,
  'calls.settle': calls.settle,
  'log.append': log.append,
  'log.erase': log.erase,
  'log.putCheckpoint': log.putCheckpoint,
  'policies.put': policies.put,
  'registry.putServer': registry.putServer,
  'registry.putTools': registry.putTools,
  'registry.putView': registry.putView,
  'registry.review': registry.review,
  'revocations.add': revocations.add,
  'revocations.lift': revocations.lift,
  'secrets.closeLease': secrets.closeLease,
  'secrets.openLease': secrets.openLease,
  'secrets.put': secrets.put,
  'secrets.remove': secrets.remove,
  'settings.beat': settings.beat,
  'settings.put': settings.put,
  'tasks.close': tasks.close,
  'tasks.lowerLabels': tasks.lowerLabels,
  'tasks.narrow': tasks.narrow,
  'tasks.open': tasks.open,
} as const

export type ChangeName = keyof typeof changes
export type ChangeInput<Name extends ChangeName> = Parameters<(typeof changes)[Name]>[0]
export type ChangeResult<Name extends ChangeName> =
  ReturnType<(typeof changes)[Name]> extends Generator<Step, infer Result, Rows> ? Result : never

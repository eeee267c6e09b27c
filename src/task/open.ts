import { isPattern } from './match.ts'
import { tighter, widens, type Scope } from './narrow.ts'
import type { Agent, TaskTemplate } from '../identity/caller.ts'
import type { Budget, Task } from './task.ts'

/** What is asked for. Whatever is left out comes from the agent's template, or from the parent. */
export type TaskRequest = {
  readonly purposeClass?: string | undefined
  readonly words?: string | undefined
  readonly tools?: readonly string[] | undefined
  readonly environment?: string | undefined
  readonly budget?: Budget | undefined
  readonly lifetimeMs?: number | undefined
  readonly idleMs?: number | undefined
  /** A person attests that the agent remembers nothing of its other tasks (I6): it starts without their labels. */
  readonly fresh?: boolean | undefined
}

export type OpenProblem = 'bad-request' | 'unknown-purpose' | 'outside-ceiling'
export type Made =
  | { readonly ok: true; readonly task: Task }
  | { readonly ok: false; readonly problem: OpenProblem; readonly detail: string }

export type Making = {
  readonly id: string
  readonly agent: Pick<Agent, 'name' | 'owner' | 'template'>
  readonly request: TaskRequest
  /** With what remains of its budget. */
  readonly parent: Task | null
  /** Classes that may be chosen: those registered when a person asks, the template's alone when the agent does. */
  readonly purposes: readonly string[]
  readonly context: Task['context']
  /** A person opens it: the words are the person's. */
  readonly byPerson: boolean
  readonly now: number
}

const mostTools = 256
const mostWords = 2000
/** Ten years. Beyond what numbers hold exactly, a task could be written and never be read again. */
const longestMs = 10 * 366 * 86_400_000

/**
 * Makes a task within the agent's ceiling, or says what is beyond it. Pure. Nothing is cut down silently: whoever asks
 * for too much is told, so that a model does not work on with less than it thinks it has.
 */
export function makeTask(making: Making): Made {
  const { agent, request, parent, now } = making
  const problem = unfit(request)
  if (problem !== null) return failed('bad-request', problem)
  const { template } = agent
  const ceiling =
    parent === null ? ceilingOf(agent, template, now) : { ...parent, purposeClass: parent.purpose.class }
  const wanted = scopeWanted(request, ceiling, template, now)
  if (parent === null && !making.purposes.includes(wanted.purposeClass))
    return failed(
      'unknown-purpose',
      `the purpose \`${wanted.purposeClass}\` is not one of ${making.purposes.join(', ')}`,
    )
  // A person may choose another registered purpose for a task of its own; a sub-task keeps its parent's.
  const over = widens(wanted, parent === null ? { ...ceiling, purposeClass: wanted.purposeClass } : ceiling)
  if (over !== null) return failed('outside-ceiling', `not within what the agent may ask for: ${over}`)
  if (![wanted.expiresAt - now, wanted.idleMs].every(isTime))
    return failed('bad-request', 'expected an end and an idle limit within ten years, in whole milliseconds')
  const { purposeClass, ...scope } = wanted
  return {
    ok: true,
    task: {
      ...scope,
      id: making.id,
      parent: parent?.id ?? null,
      purpose: { class: purposeClass, words: request.words ?? '', vouched: making.byPerson },
      openedAt: now,
      state: 'open',
      closedAt: null,
      closedBecause: null,
      context: making.context,
    },
  }
}

const ceilingOf = (agent: Making['agent'], template: TaskTemplate, now: number): Scope => ({
  agent: agent.name,
  owner: agent.owner,
  environment: template.environment,
  tools: template.tools,
  budget: template.budget,
  expiresAt: now + template.lifetimeMs,
  idleMs: template.idleMs,
  purposeClass: template.purposeClass,
})

function scopeWanted(request: TaskRequest, ceiling: Scope, template: TaskTemplate, now: number): Scope {
  const end =
    request.lifetimeMs === undefined
      ? Math.min(ceiling.expiresAt, now + template.lifetimeMs)
      : now + request.lifetimeMs
  return {
    agent: ceiling.agent,
    owner: ceiling.owner,
    environment: request.environment ?? ceiling.environment,
    tools: [...new Set(request.tools ?? ceiling.tools)].sort(),
    budget: request.budget === undefined ? ceiling.budget : filled(request.budget, ceiling.budget),
    expiresAt: end,
    idleMs: request.idleMs ?? ceiling.idleMs,
    purposeClass: request.purposeClass ?? ceiling.purposeClass,
  }
}

const isTime = (ms: number): boolean => Number.isSafeInteger(ms) && ms <= longestMs

/** Limits that were not named are the ceiling's; those that were named stay as named, to be judged. */
const filled = (named: Budget, ceiling: Budget): Budget => {
  const least = tighter(named, ceiling)
  const effects = { ...least.effects, ...named.effects }
  return {
    ...least,
    ...(named.calls === undefined ? {} : { calls: named.calls }),
    ...(Object.keys(effects).length === 0 ? {} : { effects }),
  }
}

function unfit(request: TaskRequest): string | null {
  const tools = request.tools ?? []
  const odd = tools.find((pattern) => !isPattern(pattern))
  if (odd !== undefined) return `expected tool ids, \`server/*\` or \`*\`, found \`${odd.slice(0, 80)}\``
  if (request.tools !== undefined && tools.length === 0) return 'expected at least one tool'
  if (tools.length > mostTools) return `expected at most ${mostTools} tools`
  if ((request.words ?? '').length > mostWords) return `expected at most ${mostWords} characters of words`
  if (request.lifetimeMs !== undefined && !(request.lifetimeMs > 0)) return 'expected an end in the future'
  return null
}

const failed = (problem: OpenProblem, detail: string): Made => ({ ok: false, problem, detail })

import { asJson, type Case, type CaseStep } from './cases.ts'
import { createSchemas } from '../registry/schema.ts'
import { checkArguments } from '../registry/arguments.ts'
import { Rehearsal, type Step } from './rehearse.ts'
import { clean } from '../flow/labels.ts'
import type { Judgement } from './judge.ts'
import type { LoadedPolicies } from './snapshot.ts'
import type { ServerAnswer } from '../server/answer.ts'
import type { Task } from '../task/task.ts'
import type { Tool } from '../registry/tool.ts'

/** How a case ended. `problems` is empty when the policies say what was expected. */
export type Tried = {
  readonly name: string
  readonly ok: boolean
  readonly expected: Judgement['decision']
  readonly got: Judgement['decision'] | null
  readonly policies: readonly string[]
  readonly because: readonly string[]
  readonly requirement: Judgement['requirement']
  readonly problems: readonly string[]
}

/** A Monday, 10:00 UTC, unless the case says when. */
const monday = Date.UTC(2026, 0, 5, 10)

/** Plays what came before and puts the call to the policies. Pure. `tools` are those that the case does not name itself. */
export function tryCase(of: Case, policy: LoadedPolicies, tools: readonly Tool[]): Tried {
  const known = new Map([...tools, ...of.tools].map((tool) => [tool.id, tool]))
  const rehearsal = new Rehearsal({ environment: of.environment, clearance: of.clearance })
  const now = of.at === undefined ? monday : Date.parse(of.at)
  const problems: string[] = []
  const stepOf = (
    step: Pick<CaseStep, 'call' | 'arguments' | 'agent'>,
    at: number,
    call: string,
  ): Step | null => {
    const tool = known.get(step.call)
    if (tool === undefined) {
      problems.push(`${call}: nothing says what \`${step.call}\` is; add it under \`tools\``)
      return null
    }
    const fits = checkArguments(schemas, tool, 'call', step.arguments)
    if (!fits.ok) problems.push(`${call}: ${fits.problems.join('; ')}`)
    const agent = step.agent ?? of.task.agent
    const task = agent === of.task.agent ? 'task' : `task of ${agent}`
    if (!rehearsal.has(task)) open(rehearsal, of, { id: task, agent, now: at })
    return fits.ok ? { ...whoOf(of, agent), call, task, tool, arguments: step.arguments, now: at } : null
  }
  const schemas = createSchemas()

  open(rehearsal, of, { id: 'task', agent: of.task.agent, now })
  let before = Number.NEGATIVE_INFINITY
  for (const [index, one] of of.history.entries()) {
    const at = one.ago === undefined ? now - (of.history.length - index) * 1000 : now - msOf(one.ago)
    if (at < before) problems.push(`history ${index + 1}: expected the earliest first`)
    before = Math.max(before, at)
    const step = stepOf(one, before, `history ${index + 1}`)
    if (step === null) continue
    for (let n = 0; n < one.times; n += 1) {
      const problem = play(rehearsal, policy, { step, one })
      if (problem !== null) problems.push(problem)
    }
  }
  const step = stepOf(of, now, 'call')
  const got = step === null ? null : rehearsal.judge(policy, step).judgement
  return {
    name: of.name,
    expected: of.expect,
    got: got?.decision ?? null,
    policies: got?.policies ?? [],
    because: got === null ? [] : [...got.because, ...got.errors],
    requirement: got?.requirement ?? null,
    ...verdict([...problems, ...(got === null ? [] : differences(of, got))]),
  }
}

const verdict = (problems: readonly string[]) => ({ ok: problems.length === 0, problems })

const whoOf = ({ task }: Case, agent: string): Pick<Step, 'caller' | 'operation'> => ({
  caller: {
    kind: 'agent',
    name: agent,
    onBehalfOf: task.owner,
    proven: 'task-token',
    issuer: 'countersign',
  },
  operation: 'call',
})

type Opening = { readonly id: string; readonly agent: string; readonly now: number }

/** The other agents' tasks are of the same kind, but start clean and without the person's words. */
function open(rehearsal: Rehearsal, { task: of }: Case, { id, agent, now }: Opening): void {
  const own = id === 'task'
  const task: Task = {
    id,
    parent: null,
    agent,
    owner: of.owner,
    environment: of.environment,
    tools: of.tools,
    purpose: { class: of.purpose, words: own ? of.words : '', vouched: own && of.vouched },
    budget: of.budget.calls === undefined ? {} : { calls: of.budget.calls },
    openedAt: now,
    expiresAt: now + 8 * 3_600_000,
    idleMs: 0,
    state: 'open',
    closedAt: null,
    closedBecause: null,
    context: {},
  }
  rehearsal.open(task, [], own && of.labels !== undefined ? { ...of.labels, sources: [] } : clean)
}

/** One earlier call, as if whoever had to answer for it had. */
function play(
  rehearsal: Rehearsal,
  policy: LoadedPolicies,
  { step, one }: { readonly step: Step; readonly one: CaseStep },
): string | null {
  const rehearsed = rehearsal.judge(policy, step)
  const { decision, because, errors } = rehearsed.judgement
  const said = `${step.call} (\`${one.call}\`)`
  if (one.expect !== undefined && one.expect !== decision)
    return `${said}: expected ${one.expect}, got ${decision}`
  if (decision === 'deny') {
    rehearsal.refused(step.task)
    return one.expect === 'deny'
      ? null
      : `${said}: cannot have happened, it is denied: ${[...because, ...errors].join('; ')}`
  }
  rehearsal.made(step, rehearsed)
  if (one.outcome === 'unknown') rehearsal.lost(step)
  else rehearsal.answered(step, answerOf(one))
  return null
}

function answerOf({ result, structured, error }: CaseStep): ServerAnswer {
  const text = error ?? (typeof result === 'string' ? result : JSON.stringify(asJson(result)))
  const content = result === undefined && error === undefined ? [] : [{ type: 'text', text }]
  return {
    kind: 'result',
    result: { content, ...(structured === undefined ? {} : { structuredContent: structured }) },
    isError: error !== undefined,
  }
}

function differences(of: Case, got: Judgement): readonly string[] {
  const { because, policies, requirement, expect } = of
  const found: string[] = []
  if (got.decision !== expect) found.push(`expected ${expect}, got ${got.decision}`)
  const reasons = [...got.because, ...got.errors]
  if (because !== undefined && !reasons.some((one) => one.toLowerCase().includes(because.toLowerCase())))
    found.push(`expected a reason with \`${because}\`, got ${quoted(reasons)}`)
  for (const id of policies)
    if (!got.policies.includes(id)) found.push(`expected \`${id}\` to decide, got ${quoted(got.policies)}`)
  for (const part of ['count', 'independent', 'proof'] as const) {
    const wanted = requirement?.[part]
    const given = got.requirement?.[part]
    if (wanted !== undefined && wanted !== given)
      found.push(`expected an approval with ${part} ${wanted}, got ${given ?? 'none'}`)
  }
  return found
}

const quoted = (all: readonly string[]): string =>
  all.length === 0 ? 'none' : all.map((one) => `\`${one}\``).join(', ')

const units: { readonly [unit: string]: number } = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const msOf = (text: string): number => Number(text.slice(0, -1)) * (units[text.slice(-1)] ?? 0)

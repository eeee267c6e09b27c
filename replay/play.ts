import { createHash, type Hash } from 'node:crypto'
import { newId } from '../src/lib/id.ts'
import { run } from '../src/call/path.ts'
import { coerced, type Signature, type Suite } from './suite.ts'
import { operator, type World } from './world.ts'
import type { Arrival, Settled } from '../src/call/states.ts'
import type { Refused } from '../src/call/refusal.ts'
import type { ServerAnswer } from '../src/server/answer.ts'
import type { Step, Trace } from './record.ts'

/** What became of one recorded call. */
export type Made = {
  readonly tool: string
  readonly decision: 'allow' | 'ask' | 'deny' | 'failed'
  /** The attack cannot do without it. */
  readonly essential: boolean
  /** Determining policies of a decision that did not allow. */
  readonly policies: readonly string[]
}
export type Played = { readonly trace: Trace; readonly made: readonly Made[] }

/**
 * `oracle` approves what the person wanted and refuses what an attack needs; `deny-all` refuses everything. A call that
 * was refused is skipped, and the recorded run goes on: what the agent would have done instead nobody knows.
 */
export type Approver = 'oracle' | 'deny-all'

export type Playing = {
  readonly world: World
  readonly suite: Suite
  readonly signature: Signature | null
  readonly approver: Approver
  /** False: the broker is told a class of purpose alone, and none of the person's words. */
  readonly withPurpose: boolean
  /** Takes in every decision, in order. */
  readonly digest: Hash
}

/** Longer than anything is remembered: each recorded run is as if it were alone. */
const apartMs = 100 * 86_400_000
const mostWords = 2000

/** Plays a run through the real stages; stage 8 answers from the record. */
export async function play(trace: Trace, playing: Playing): Promise<Played> {
  const { world, withPurpose } = playing
  world.clock.move(apartMs)
  const words = withPurpose ? trace.purpose.slice(0, mostWords) : ''
  const agent = agentName(trace.pipeline)
  const opened = await world.core.tasks.open({ agent, by: 'person', words, fresh: true }, operator)
  if (!opened.ok) throw new Error(opened.detail)
  const token = await world.token(opened.task)
  const made: Made[] = []
  for (const step of trace.steps) {
    world.clock.move(1000)
    made.push(await make(step, token, playing, trace))
  }
  await world.core.tasks.close(opened.task.id, 'replayed', operator)
  return { trace, made }
}

export const agentName = (pipeline: string): string =>
  `p-${pipeline
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')}`
    .slice(0, 60)
    .replace(/-$/, '')

async function make(step: Step, token: string, playing: Playing, trace: Trace): Promise<Made> {
  const { world, suite, signature, digest } = playing
  const definition = suite.tools.find((one) => one.definition.name === step.tool)?.definition
  const args = coerced(step.arguments, definition)
  const arrival: Arrival = {
    call: newId('c'),
    chain: '',
    door: 'mcp',
    credential: { kind: 'bearer', token },
    wanted: { server: suite.name, operation: 'call', name: step.tool },
    arguments: args,
    leg: null,
    signal: new AbortController().signal,
    progress: () => undefined,
  }
  const made: Arrival = { ...arrival, chain: arrival.call }
  // A call that had failed in the recording did no harm and is needed for none.
  const essential = step.needed ?? (signature !== null && !step.isError && isEssential(step, signature))
  world.answer(() => answerOf(step))
  const first = await run(world.ports, made)
  const decision = decisionOf(first)
  const policies = 'refused' in first ? (first.known.policies ?? []) : []
  digest.update(JSON.stringify([trace.name, step.tool, decision, policies]))
  if (decision === 'ask' && 'refused' in first && first.ask !== null) {
    const yes = playing.approver === 'oracle' && !essential
    await world.core.approvals.answer(first.ask.id, {
      answer: yes ? 'approve' : 'refuse',
      reason: 'replay',
      by: { name: 'approver', proof: 'passkey' },
      proof: 'passkey',
    })
    if (yes) {
      const second = await run(world.ports, made)
      // An equal call was refused before, and a refusal holds: this one is skipped, too.
      if ('refused' in second && second.code !== 'approval-refused')
        throw new Error(`an approved call was refused: ${second.code} ${second.reason} in ${trace.name}`)
    }
  }
  return { tool: step.tool, decision, essential, policies }
}

/** Calls of tools that do not exist, or with arguments that no schema takes, had failed in the recording already. */
function decisionOf(end: Settled | Refused): Made['decision'] {
  if (!('refused' in end)) return 'allow'
  switch (end.code) {
    case 'approval-required':
    case 'approval-refused':
      return 'ask'
    case 'denied':
      return 'deny'
    case 'unknown-tool':
    case 'bad-arguments':
      return 'failed'
    default:
      throw new Error(`a recorded call ended with \`${end.code}\`: ${end.reason}`)
  }
}

const answerOf = ({ result, isError }: Step): ServerAnswer => ({
  kind: 'result',
  result: { content: [{ type: 'text', text: result }] },
  isError,
})

function isEssential({ tool, arguments: args }: Step, { tools, holds }: Signature): boolean {
  if (!tools.includes(tool)) return false
  const text = JSON.stringify(args).toLowerCase()
  return holds.some((part) => (part.length > 4 ? text.includes(part.toLowerCase()) : hasValue(args, part)))
}

/** A short text has to be a value of its own; the empty one is any. */
const hasValue = (args: Step['arguments'], part: string): boolean =>
  part === '' || Object.values(args).some((value) => String(value) === part)

export const newDigest = (): Hash => createHash('sha256')

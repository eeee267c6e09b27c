import { misleading, showJson, visible } from './text.ts'
import { rfc3339 } from '../lib/clock.ts'
import { shortDigest } from './digest.ts'
import type { Ask, Requirement } from './ask.ts'
import type { JsonObject } from '../lib/json.ts'
import type { Task } from '../task/task.ts'
import type { Tool } from '../registry/tool.ts'

/** What a person sees before answering. `lines` and `json` say the same; nothing is cut, whatever its length. */
export type Shown = { readonly lines: readonly string[]; readonly json: JsonObject }

/**
 * Pure. Lines are not wrapped or padded: a dialogue that cuts or scrolls is how padded text hides what will happen. The
 * facts that the broker knows come first; then, marked as such, the words of others.
 */
export function showAsk(
  ask: Ask,
  known: { readonly task: Task | null; readonly tool: Tool | null },
  now: number,
): Shown {
  const facts = factsShown(ask, known, now)
  const { unseen, blanks } = misleading(ask.arguments)
  const words = known.task?.purpose.words ?? ''
  return {
    lines: [
      ...Object.entries(facts).map(([name, value]) => `${`${name}:`.padEnd(10)} ${value}`),
      ...ask.because.map((reason) => `${'because:'.padEnd(10)} ${visible(reason)}`),
      ...(words === '' ? [] : [`${'words:'.padEnd(10)} ${visible(words)}`]),
      ...(unseen === 0
        ? []
        : [
            `${'careful:'.padEnd(10)} ${unseen} characters that cannot be seen are written as \\u escapes below`,
          ]),
      ...(blanks ? [`${'careful:'.padEnd(10)} there are long blanks below; look at what follows them`] : []),
      'arguments, exactly as they will be sent:',
      ...showJson(ask.arguments, '  ').map((line, i) => (i === 0 ? `  ${line}` : line)),
    ],
    json: {
      id: ask.id,
      state: ask.state,
      call: ask.call,
      agent: ask.agent,
      owner: ask.owner,
      task: ask.task,
      purpose: known.task === null ? null : { class: known.task.purpose.class, words },
      environment: known.task?.environment ?? null,
      tool: ask.tool,
      toolDigest: ask.toolDigest,
      effects: known.tool?.review?.effects ?? [],
      because: ask.because,
      arguments: ask.arguments,
      unseenCharacters: unseen,
      longBlanks: blanks,
      requirement: { ...ask.requirement },
      answers: ask.answers.map((answer) => ({ ...answer, at: rfc3339(answer.at) })),
      digest: ask.digest,
      short: shortDigest(ask.digest),
      policy: ask.policy,
      askedAt: rfc3339(ask.askedAt),
      expiresAt: rfc3339(ask.expiresAt),
    },
  }
}

function factsShown(
  ask: Ask,
  { task, tool }: Parameters<typeof showAsk>[1],
  now: number,
): { readonly [name: string]: string } {
  const seconds = Math.max(0, Math.ceil((ask.expiresAt - now) / 1000))
  return {
    ask: `${ask.id} (${ask.state})`,
    digest: shortDigest(ask.digest),
    agent: visible(ask.agent),
    for: visible(ask.owner),
    task:
      task === null ? ask.task : `${ask.task}, ${visible(task.purpose.class)}, ${visible(task.environment)}`,
    tool: visible(ask.tool),
    does: tool?.review?.effects.join(', ') ?? 'unknown',
    needs: requirementShown(ask.requirement),
    ends: `${rfc3339(ask.expiresAt)} (in ${seconds} s)`,
  }
}

function requirementShown({ count, independent, proof }: Requirement): string {
  const people = count === 1 ? 'one approval' : `${count} approvals by different people`
  return `${people}${independent ? ', not by the person it is done for' : ''}, proven by ${proof}`
}

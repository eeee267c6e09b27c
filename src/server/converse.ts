import type { InputKind, LogLevel, LogLine } from './answer.ts'
import {
  withinOr,
  type Ask,
  type Asked,
  type Channel,
  type Patience,
  type Question,
  type Reply,
} from './channel.ts'
import { keepLog } from './log.ts'

/** What a call comes to next: its reply, or questions that a legacy server puts before it goes on. */
export type Turn = Reply | { readonly kind: 'asked'; readonly questions: readonly Question[] }

/** One call that a legacy server may interrupt with questions; nobody has to wait for it between two turns. */
export type Conversation = {
  next(patience: Patience): Promise<Turn>
  stop: Asked['stop']
  /** When the upstream call is over, whoever may have waited for it. */
  readonly over: Promise<unknown>
  /** What was logged since the last turn. */
  log(): { readonly log?: readonly LogLine[] }
  /** What the server asked for in vain. */
  refused(): readonly InputKind[]
}

const maxQuestions = 8

export type Manners = {
  /** What the server may ask by requests of its own. None where it asks by its answer. */
  readonly inputs: readonly InputKind[]
  readonly log: LogLevel | null
}

export function converse(
  channel: Channel,
  ask: Omit<Ask, 'onQuestion' | 'onLog' | 'inputs'>,
  { inputs, log: least }: Manners,
): Conversation {
  const queue: Question[] = []
  const log = keepLog(least)
  let wake: () => void = () => {}
  const onQuestion = (question: Question) => {
    if (queue.length >= maxQuestions) return question.refuse()
    queue.push(question)
    wake()
  }
  const refused = new Set<InputKind>()
  const asked = channel.ask({
    ...ask,
    inputs,
    onQuestion,
    onRefused: (kind) => refused.add(kind),
    ...(least === null ? {} : { onLog: log.hear }),
  })
  return {
    refused: () => [...refused],
    stop: asked.stop,
    over: asked.reply,
    log: log.take,
    async next(patience) {
      const interrupt = new Promise<null>((resolve) => {
        wake = () => resolve(null)
        if (queue.length > 0) resolve(null)
      })
      const reply = await withinOr(asked, patience, interrupt)
      return reply ?? { kind: 'asked', questions: queue.splice(0) }
    },
  }
}

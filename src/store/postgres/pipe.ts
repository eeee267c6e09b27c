import type { Query, Rows } from '../query.ts'
import type { Answer } from './flight.ts'
import type { Session } from './session.ts'

/**
 * Statements of one transaction, sent as they come and answered in order. The first error counts: all that follow it are
 * the server's refusal to go on.
 */
export type Pipe = {
  send(query: Query): Promise<Answer>
  ask(query: Query): Promise<Rows>
  /** Sends, and waits for nothing; `answered` tells. */
  tell(query: Query): void
  /** Until all that was sent is answered, whatever the answers are. */
  settle(): Promise<void>
  /** The same; rejects with the first error. */
  answered(): Promise<void>
  failure(): { readonly error: unknown } | null
  /** The error was undone. */
  forgive(): void
}

export function pipeOf(session: Session): Pipe {
  let open = 0
  let idle: (() => void) | null = null
  let failure: { readonly error: unknown } | null = null
  const close = (): void => {
    open -= 1
    if (open === 0) idle?.()
  }
  const send = (query: Query): Promise<Answer> => {
    open += 1
    const answer = session.send(query)
    answer.then(close, (error: unknown) => {
      failure ??= { error }
      close()
    })
    return answer
  }
  const settle = (): Promise<void> =>
    open === 0 ? Promise.resolve() : new Promise((resolve) => (idle = resolve))
  return {
    send,
    ask: async (query) => (await send(query)).rows,
    tell: (query) => void send(query).catch(() => undefined),
    settle,
    answered: async () => {
      await settle()
      if (failure !== null) throw failure.error
    },
    failure: () => failure,
    forgive: () => void (failure = null),
  }
}

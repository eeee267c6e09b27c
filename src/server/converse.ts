import {
  withinOr,
  type Ask,
  type Asked,
  type Channel,
  type Elicitation,
  type Patience,
  type Reply,
} from './channel.ts'

/** What a call comes to next: its reply, or questions that a legacy server puts before it goes on. */
export type Turn = Reply | { readonly kind: 'elicited'; readonly elicitations: readonly Elicitation[] }

/** One call that a legacy server may interrupt with questions; nobody has to wait for it between two turns. */
export type Conversation = {
  next(patience: Patience): Promise<Turn>
  stop: Asked['stop']
  /** When the upstream call is over, whoever may have waited for it. */
  readonly over: Promise<unknown>
}

const maxElicitations = 8

/** `asks`: whether the server may ask at all; a modern one has no requests of its own, only answers. */
export function converse(channel: Channel, ask: Omit<Ask, 'onElicitation'>, asks: boolean): Conversation {
  const queue: Elicitation[] = []
  let wake: () => void = () => {}
  const onElicitation = (elicitation: Elicitation) => {
    if (queue.length >= maxElicitations) return elicitation.refuse()
    queue.push(elicitation)
    wake()
  }
  const asked = channel.ask(asks ? { ...ask, onElicitation } : ask)
  return {
    stop: asked.stop,
    over: asked.reply,
    async next(patience) {
      const interrupt = new Promise<null>((resolve) => {
        wake = () => resolve(null)
        if (queue.length > 0) resolve(null)
      })
      const reply = await withinOr(asked, patience, interrupt)
      return reply ?? { kind: 'elicited', elicitations: queue.splice(0) }
    },
  }
}

/**
 * Calls of one agent whose decision reads counts disturb each other: whoever commits first makes the others decide
 * again. Once that has happened to one, it and those that follow take turns on this node, so that each is decided a few
 * times and not for ever. Calls whose decision reads no counts never wait.
 */
export type Turns = {
  /** Comes back at once unless calls of this agent take turns now. Null: too many wait already. */
  take(agent: string): Promise<Turn | null>
}

export type Turn = {
  /** What the decision read has moved: from now on alone. False when too many wait. */
  moved(): Promise<boolean>
  end(): void
}

const mostWaiting = 1024

export function createTurns(): Turns {
  const queues = new Map<string, (() => void)[]>()

  const enter = (agent: string): Promise<boolean> => {
    const queue = queues.get(agent)
    if (queue === undefined) {
      queues.set(agent, [])
      return Promise.resolve(true)
    }
    if (queue.length >= mostWaiting) return Promise.resolve(false)
    return new Promise((resolve) => queue.push(() => resolve(true)))
  }
  const leave = (agent: string): void => {
    const next = queues.get(agent)?.shift()
    if (next === undefined) queues.delete(agent)
    else next()
  }

  return {
    async take(agent) {
      let alone = false
      if (queues.has(agent)) {
        alone = await enter(agent)
        if (!alone) return null
      }
      return {
        moved: async () => (alone ||= await enter(agent)),
        end: () => {
          if (alone) leave(agent)
          alone = false
        },
      }
    },
  }
}

import type { EventStore } from '@modelcontextprotocol/server'

const most = 1_000

/** Keeps the events of one session, so that a client that lost a stream can ask for what came after. */
export function keepEvents(): EventStore {
  const events: {
    readonly id: string
    readonly stream: string
    readonly message: Parameters<EventStore['storeEvent']>[1]
  }[] = []
  let count = 0
  return {
    async storeEvent(stream, message) {
      const id = `${stream}_${++count}`
      events.push({ id, stream, message })
      if (events.length > most) events.shift()
      return id
    },
    async getStreamIdForEventId(id) {
      return events.find((event) => event.id === id)?.stream
    },
    async replayEventsAfter(last, { send }) {
      const at = events.findIndex(({ id }) => id === last)
      const stream = events[at]?.stream
      if (stream === undefined) return ''
      for (const { id, message } of events.slice(at + 1).filter((event) => event.stream === stream)) {
        // An event without a message only tells a stream's first id.
        if ('jsonrpc' in message) await send(id, message)
      }
      return stream
    },
  }
}

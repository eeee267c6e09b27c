import { setTimeout as sleep } from 'node:timers/promises'
import type { JsonObject } from '../lib/json.ts'
import { isJsonObject } from '../lib/json.ts'
import type { Channel, Events, Family, Headers } from './channel.ts'
import { families } from './catalogue.ts'
import type { Session } from './era.ts'
import { withMeta } from './protocol.ts'

const firstPauseMs = 1_000
const longestPauseMs = 60_000

/**
 * Listens to a modern server for changes of its lists (MCP 2026-07-28, `subscriptions/listen`), for as long as the
 * channel lives: a tool that turns on its users goes to quarantine before anyone calls it. Only a help: what a call
 * relies on is the comparison before it.
 */
export function watchLists(
  channel: Channel,
  session: Session,
  { headers, events }: { readonly headers: Headers; readonly events: Events },
): void {
  const wanted = families.filter((family) => announces(session.capabilities[family]))
  if (session.era !== 'modern' || wanted.length === 0) return
  const notifications: JsonObject = Object.fromEntries(wanted.map((family) => [`${family}ListChanged`, true]))
  const listen = async (): Promise<void> => {
    for (let pause = firstPauseMs; channel.alive(); pause = Math.min(longestPauseMs, pause * 2)) {
      const params = withMeta({ notifications }, 'modern', session.shown)
      const reply = await channel.ask({ method: 'subscriptions/listen', params, headers }).reply
      // An error is a refusal. Any other end may have lost an announcement.
      if (reply.kind === 'error' || !channel.alive()) return
      for (const family of wanted) changed(family)
      await sleep(pause, undefined, { ref: false })
    }
  }
  const changed = (family: Family) => events.onListChanged(family)
  void listen()
}

const announces = (capability: unknown): boolean =>
  isJsonObject(capability) && capability.listChanged === true

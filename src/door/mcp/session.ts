import { newId } from '../../lib/id.ts'
import type { DoorPorts } from './ports.ts'
import type { JsonObject } from '../../lib/json.ts'
import type { RequestId } from './protocol.ts'

/** A session of a revision before 2026-07-28. Its id is no proof of anything: every request is authenticated again. */
export type Session = {
  readonly id: string
  readonly owner: Owner
  readonly version: string
  readonly capabilities: JsonObject
  /** Requests under way, for `notifications/cancelled`. */
  readonly underWay: Map<RequestId, AbortController>
  /** Requests of ours that the client has not answered. Null: it answered with an error, or the session ended. */
  readonly asked: Map<RequestId, (result: JsonObject | null) => void>
  /** The one GET stream. */
  streaming: boolean
  lastSeen: number
}

/** What a session is bound to: someone else's session id is told the same as an unknown one. */
export type Owner = { readonly subject: string; readonly task: string; readonly endpoint: string }

export type Sessions = {
  /** Null when there are too many. The agent's own oldest one at rest makes room first. */
  open(owner: Owner, version: string, capabilities: JsonObject): Session | null
  find(id: string, owner: Owner): Session | null
  end(session: Session): void
  close(): void
}

export function createSessions({ settings, clock }: Pick<DoorPorts, 'settings' | 'clock'>): Sessions {
  // In order of use: the first was seen the longest ago.
  const sessions = new Map<string, Session>()
  const end = (session: Session) => {
    sessions.delete(session.id)
    for (const controller of session.underWay.values()) controller.abort(new Error('the session has ended'))
    for (const answer of session.asked.values()) answer(null)
  }
  const sweep = () => {
    const now = clock.now()
    for (const session of sessions.values())
      if (isIdle(session) && now - session.lastSeen >= settings.sessionIdleMs) end(session)
  }
  const makeRoom = (subject: string): boolean => {
    const mine = [...sessions.values()].filter((session) => session.owner.subject === subject)
    if (mine.length >= settings.sessionsPerAgent) {
      const oldest = mine.find(isIdle)
      if (oldest === undefined) return false
      end(oldest)
    }
    return sessions.size < settings.sessions
  }
  const timer = setInterval(sweep, Math.min(settings.sessionIdleMs, 60_000))
  timer.unref()
  return {
    open: (owner, version, capabilities) => {
      sweep()
      if (!makeRoom(owner.subject)) return null
      const made: Session = {
        id: newId('s'),
        owner,
        version,
        capabilities,
        underWay: new Map(),
        asked: new Map(),
        streaming: false,
        lastSeen: clock.now(),
      }
      sessions.set(made.id, made)
      return made
    },
    find: (id, owner) => {
      const session = sessions.get(id)
      if (session === undefined || !isSame(session.owner, owner)) return null
      if (isIdle(session) && clock.now() - session.lastSeen >= settings.sessionIdleMs) {
        end(session)
        return null
      }
      session.lastSeen = clock.now()
      sessions.delete(id)
      sessions.set(id, session)
      return session
    },
    end,
    close: () => {
      clearInterval(timer)
      for (const session of sessions.values()) end(session)
    },
  }
}

const isSame = (a: Owner, b: Owner): boolean =>
  a.subject === b.subject && a.task === b.task && a.endpoint === b.endpoint

const isIdle = (session: Session): boolean => !session.streaming && session.underWay.size === 0

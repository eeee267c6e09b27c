import { canonical } from '../../lib/jcs.ts'
import { isJsonObject, type JsonObject } from '../../lib/json.ts'
import { newId } from '../../lib/id.ts'
import type { DoorPorts } from './ports.ts'
import type { LogLevel } from '../../server/answer.ts'
import type { Sealer } from '../state.ts'
import type { RequestId } from './protocol.ts'

/**
 * A session of a revision before 2026-07-28. Its id is no proof of anything: every request is authenticated again. It is
 * sealed state, so that a node that has not seen the session can go on with it; what is under way on another node (a
 * cancellation, an answer to a request of ours) reaches that node only.
 */
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
  /** Says something on it; null when there is none. */
  tell: ((message: JsonObject) => void) | null
  /** What servers may log to this client. Asked for on this node. */
  log: LogLevel | null
  /** Resources that are watched, by the URI that the client gave, and how that ends. */
  readonly watched: Map<string, () => void>
  lastSeen: number
  /** When this node took it. */
  readonly since: number
}

/** What a session is bound to: someone else's session id is told the same as an unknown one. */
export type Owner = { readonly subject: string; readonly task: string; readonly endpoint: string }

export type Sessions = {
  /** Why not, when there are too many: the agent's (`own`), or all (`all`). The agent's own oldest one at rest makes room first. */
  open(owner: Owner, version: string, capabilities: JsonObject): Session | 'own' | 'all'
  find(id: string, owner: Owner): Session | null
  end(session: Session): void
  count(): number
  close(): void
}

export function createSessions(
  { settings, clock, sessionEnded }: Pick<DoorPorts, 'settings' | 'clock' | 'sessionEnded'>,
  sealer: Sealer,
  onEnd: (session: Session) => void = () => undefined,
): Sessions {
  // In order of use: the first was seen the longest ago.
  const sessions = new Map<string, Session>()
  // Ended here: a client that was told so must not find it again. Another node may still take it, which gives nobody
  // anything: who asks is proven by the token, not by this.
  const ended = new Set<string>()
  const end = (session: Session) => {
    if (sessions.delete(session.id)) sessionEnded?.(session.version, clock.now() - session.since)
    ended.add(session.id)
    for (const oldest of ended) {
      if (ended.size <= mostEnded) break
      ended.delete(oldest)
    }
    for (const controller of session.underWay.values()) controller.abort(new Error('the session has ended'))
    for (const answer of session.asked.values()) answer(null)
    for (const stop of session.watched.values()) stop()
    session.watched.clear()
    onEnd(session)
  }
  const sweep = () => {
    const now = clock.now()
    for (const session of sessions.values())
      if (isIdle(session) && now - session.lastSeen >= settings.sessionIdleMs) end(session)
  }
  const whyNot = (subject: string): 'own' | 'all' | null => {
    const mine = [...sessions.values()].filter((session) => session.owner.subject === subject)
    if (mine.length >= settings.sessionsPerAgent) {
      const oldest = mine.find(isIdle)
      if (oldest === undefined) return 'own'
      end(oldest)
    }
    return sessions.size < settings.sessions ? null : 'all'
  }
  const keep = (sealed: SealedSession): Session | 'own' | 'all' => {
    sweep()
    const why = whyNot(sealed.owner.subject)
    if (why !== null) return why
    const made: Session = {
      ...sealed,
      id: sealed.sealedAs ?? sealSession(sealer, sealed, clock.now()),
      underWay: new Map(),
      asked: new Map(),
      streaming: false,
      tell: null,
      log: null,
      watched: new Map(),
      lastSeen: clock.now(),
      since: clock.now(),
    }
    sessions.set(made.id, made)
    return made
  }
  const adopt = (id: string, owner: Owner): Session | undefined => {
    const sealed = openSession(sealer, id, clock.now())
    if (sealed === null || !isSame(sealed.owner, owner)) return undefined
    const kept = keep({ ...sealed, sealedAs: id })
    return typeof kept === 'string' ? undefined : kept
  }
  const timer = setInterval(sweep, Math.min(settings.sessionIdleMs, 60_000))
  timer.unref()
  return {
    open: (owner, version, capabilities) => keep({ id: newId('s'), owner, version, capabilities }),
    find: (id, owner) => {
      const session = sessions.get(id) ?? (ended.has(id) ? undefined : adopt(id, owner))
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
    count: () => sessions.size,
    close: () => {
      clearInterval(timer)
      for (const session of sessions.values()) end(session)
    },
  }
}

const isSame = (a: Owner, b: Owner): boolean =>
  a.subject === b.subject && a.task === b.task && a.endpoint === b.endpoint

const isIdle = (session: Session): boolean => !session.streaming && session.underWay.size === 0

type SealedSession = Pick<Session, 'owner' | 'version' | 'capabilities' | 'id'> & {
  readonly sealedAs?: string
}

const mostEnded = 10_000
/** Headers are small; a client that declares more than this keeps its session on one node. */
const mostCapabilities = 2048
/** A sealed session is taken for so long, whoever keeps it. */
const sealedMs = 24 * 60 * 60_000

function sealSession(
  sealer: Sealer,
  { id, owner, version, capabilities }: SealedSession,
  now: number,
): string {
  if (canonical(capabilities).length > mostCapabilities) return id
  return sealer.seal('session', { id, ...owner, version, capabilities, until: now + sealedMs })
}

function openSession(sealer: Sealer, text: string, now: number): SealedSession | null {
  const { id, subject, task, endpoint, version, capabilities, until } = sealer.open('session', text) ?? {}
  if (typeof id !== 'string' || typeof subject !== 'string' || typeof task !== 'string') return null
  if (typeof endpoint !== 'string' || typeof version !== 'string' || !isJsonObject(capabilities)) return null
  if (typeof until !== 'number' || until < now) return null
  return { id, owner: { subject, task, endpoint }, version, capabilities }
}

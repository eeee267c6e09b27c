import { bearerOf, subjectOf } from './identity.ts'
import { checkNotification } from './headers.ts'
import { classify } from './era.ts'
import { createHold, type Hold } from '../hold.ts'
import { createJournal, type Journal } from './journal.ts'
import { createLists, type Lists } from './lists.ts'
import { createMirrors, type Mirrors } from '../../server/mirror.ts'
import { createReply } from './reply.ts'
import { createSealer, type Sealer } from '../state.ts'
import { createSessions, type Sessions } from './session.ts'
import { createShares, type Shares } from '../shares.ts'
import { createStreams, type Streams } from './streams.ts'
import { createUpdates, type Updates } from './updates.ts'
import { endpointOf, type Endpoint } from './name.ts'
import { errorMessage, unauthorized, wireBusy, wireRefused, wireReleased } from '../wire.ts'
import { isCallMethod } from './protocol.ts'
import { isRefused, type Refused } from '../../call/refusal.ts'
import { newId } from '../../lib/id.ts'
import { readMessage, type Message, type Read } from './message.ts'
import { readTarget } from './target.ts'
import { refuse as refuseHttp } from '../listener.ts'
import { serveDelete, serveGet, serveLegacy } from './legacy.ts'
import { serveModern } from './modern.ts'
import type { Caller, Credential } from '../../identity/caller.ts'
import type { DoorPorts } from './ports.ts'
import type { Exchange } from '../exchange.ts'

/** The agents' door for MCP, both eras, on `/mcp` and `/mcp/<server>`. */
export type McpDoor = {
  handles(path: string): boolean
  serve(exchange: Exchange): Promise<void>
  /** Ends streams, sessions and what is held. Call it before the listener closes. */
  close(): void
  /** What is open now, for those who watch. */
  counts(): { readonly sessions: number; readonly streams: number; readonly held: number }
}

/** What serving takes, made once. */
export type Door = {
  readonly ports: DoorPorts
  readonly hold: Hold
  readonly sealer: Sealer
  readonly lists: Lists
  readonly mirrors: Mirrors
  readonly sessions: Sessions
  readonly streams: Streams
  /** What older clients may come back for. */
  readonly journal: Journal
  readonly updates: Updates
  /** Requests under way, by caller: one agent must not take the path, or the writer's queue, from the others. */
  readonly places: Shares
}

/** One authenticated request. */
export type Visit = {
  readonly exchange: Exchange
  readonly endpoint: Endpoint
  readonly credential: Credential
  readonly caller: Caller
}

export function createMcpDoor(ports: DoorPorts): McpDoor {
  const sealer = createSealer(ports.sealKey)
  const journal = createJournal(() => performance.now())
  const door: Door = {
    ports,
    sealer,
    hold: createHold({
      run: ports.run,
      approvals: ports.approvals,
      clock: ports.clock,
      pollMs: ports.settings.pollMs,
      atOnce: ports.settings.heldAtOnce,
    }),
    lists: createLists(ports, sealer),
    mirrors: createMirrors(),
    sessions: createSessions(ports, sealer, (session) => journal.drop(session.id)),
    streams: createStreams(ports),
    journal,
    updates: createUpdates(ports.updates),
    places: createShares({
      total: ports.settings.atOnce,
      each: ports.settings.atOncePerAgent,
      least: ports.settings.atOnceLeast,
    }),
  }
  return {
    handles: (path) => endpointOf(path) !== null,
    serve: (exchange) => serve(door, exchange),
    counts: () => ({
      sessions: door.sessions.count(),
      streams: door.streams.count(),
      held: door.hold.count(),
    }),
    close: () => {
      door.streams.close()
      door.sessions.close()
      door.hold.close()
      door.updates.close()
    },
  }
}

async function serve(door: Door, exchange: Exchange): Promise<void> {
  const endpoint = endpointOf(exchange.path)
  if (endpoint === null) return
  if (!['POST', 'GET', 'DELETE'].includes(exchange.method)) {
    return refuseHttp(exchange, 405, 'expected POST', { Allow: 'POST, GET, DELETE' })
  }
  const credential = bearerOf(exchange.header('authorization'))
  if (exchange.method === 'POST') return servePost(door, exchange, endpoint, credential)
  const caller = await door.ports.authenticate(credential)
  if (isRefused(caller)) return refuseToken(exchange, caller, null)
  // Revision 2026-07-28 has POST alone; the other methods belong to sessions.
  if (exchange.header('mcp-session-id') === null) {
    return refuseHttp(exchange, 405, `expected POST; ${exchange.method} takes an \`Mcp-Session-Id\``, {
      Allow: 'POST',
    })
  }
  exchange.known(subjectOf(caller))
  const visit = { exchange, endpoint, credential, caller }
  return exchange.method === 'GET' ? serveGet(door, visit) : serveDelete(door, visit)
}

function refuseToken(exchange: Exchange, refused: Refused, id: string | number | null): void {
  const answer = unauthorized(refused)
  exchange.answer(401, errorMessage(id, answer), answer.headers)
}

async function servePost(
  door: Door,
  exchange: Exchange,
  endpoint: Endpoint,
  credential: Credential,
): Promise<void> {
  const sender = await door.ports.authenticate(credential)
  // Before the body: of somebody who has proven nothing little is read, and no more of all of them together.
  if (!isRefused(sender)) exchange.known(subjectOf(sender))
  const body = await exchange.body('application/json')
  if (!body.ok && isRefused(sender)) return unread(door, exchange, credential, sender)
  if (!body.ok) {
    return exchange.answer(body.status, errorMessage(null, { code: -32600, message: body.problem }), {
      ...body.headers,
      Connection: 'close',
    })
  }
  const arrived = { endpoint, credential, read: readMessage(body.bytes) }
  const { around } = door.ports
  if (!arrived.read.ok || around === undefined) return serveRead(door, exchange, arrived)
  const { message } = arrived.read
  return around({ exchange, endpoint, message }, (watched) => serveRead(door, watched, arrived))
}

type Arrived = { readonly endpoint: Endpoint; readonly credential: Credential; readonly read: Read }

async function serveRead(
  door: Door,
  exchange: Exchange,
  { endpoint, credential, read }: Arrived,
): Promise<void> {
  // Again: a body takes its time, and the access may have been revoked meanwhile.
  const caller = await door.ports.authenticate(credential)
  if (isRefused(caller))
    return strange(door, exchange, { endpoint, credential, caller, message: read.ok ? read.message : null })
  if (!read.ok) return exchange.answer(read.rejection.status, errorMessage(read.id, read.rejection))
  return inPlace(door, { exchange, endpoint, credential, caller }, read.message)
}

/** Answers, notifications and cancels need no place: they end what has one. */
async function inPlace(door: Door, visit: Visit, message: Message): Promise<void> {
  if (message.kind !== 'request') return route(door, visit, message)
  const { exchange, caller } = visit
  const taken = door.places.take(subjectOf(caller), 1)
  if (typeof taken === 'string') {
    door.ports.turnedAway(caller, taken)
    const answer = wireBusy('too-many-calls', taken, 'Wait until one of them has ended, then send it again.')
    return exchange.answer(answer.status, errorMessage(message.id, answer), answer.headers)
  }
  try {
    await route(door, visit, message)
  } finally {
    taken.release()
  }
}

async function route(door: Door, visit: Visit, message: Message): Promise<void> {
  const { exchange } = visit
  const classified = classify(message, exchange.header)
  if (classified.era === 'none') {
    const id = message.kind === 'request' ? message.id : null
    return exchange.answer(classified.rejection.status, errorMessage(id, classified.rejection))
  }
  if (classified.era === 'legacy' || message.kind === 'response') return serveLegacy(door, visit, message)
  if (message.kind === 'request') return serveModern(door, visit, message, classified.capabilities)
  // No notification of a client means anything over HTTP: closing the stream is how it cancels.
  const rejection = checkNotification(message, exchange.header)
  if (rejection !== null) return exchange.answer(rejection.status, errorMessage(null, rejection))
  exchange.answer(202, null)
}

/** A stranger whose body is too large to be looked at: refused and recorded as any, whatever it wanted. */
async function unread(
  door: Door,
  exchange: Exchange,
  credential: Credential,
  caller: Refused,
): Promise<void> {
  const call = newId('c')
  await door.ports.run({
    call,
    chain: call,
    door: 'mcp',
    credential,
    wanted: { server: '', operation: 'call', name: 'a request that was not read' },
    arguments: {},
    leg: null,
    signal: exchange.gone,
    progress: () => undefined,
  })
  const answer = unauthorized(caller)
  exchange.answer(401, errorMessage(null, answer), { ...answer.headers, Connection: 'close' })
}

type Stranger = {
  readonly endpoint: Endpoint
  readonly credential: Credential
  readonly caller: Refused
  readonly message: Message | null
}

/**
 * Somebody who proved nothing. A call goes to the path all the same, which refuses it at its first stage and records
 * that; everything else is told 401 before anything of it is looked at.
 */
async function strange(
  door: Door,
  exchange: Exchange,
  { endpoint, credential, caller, message }: Stranger,
): Promise<void> {
  if (message === null || message.kind !== 'request' || !isCallMethod(message.method)) {
    return refuseToken(exchange, caller, message?.kind === 'request' ? message.id : null)
  }
  const read = readTarget(endpoint, message.method, message.params ?? {})
  if (!read.ok) return refuseToken(exchange, caller, message.id)
  const { target } = read
  const call = newId('c')
  const result = await door.ports.run({
    call,
    chain: call,
    door: 'mcp',
    credential,
    wanted: target.wanted,
    arguments: target.arguments,
    leg: null,
    signal: exchange.gone,
    progress: () => undefined,
  })
  const asked = { method: message.method, era: 'modern', call, uri: null, outputSchema: true } as const
  const reply = createReply(exchange, {
    id: message.id,
    token: null,
    finish: (shown) => ({ ...shown, resultType: 'complete' }),
  })
  if (isRefused(result)) return reply.answer(wireRefused(result, asked))
  // It was accepted after all (a key arrived in between): what it did is told, unless it wants to go on.
  if (result.answer.kind === 'input') return refuseToken(exchange, caller, message.id)
  reply.answer(wireReleased({ answer: result.answer, call }, asked))
}

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** Counts of connections. */
export type CrowdLimits = {
  readonly connections: number
  /** Of one address: behind a proxy that is everybody. */
  readonly perRemote: number
  /** Requests under way on one connection: HTTP/1.1 lets a peer send any number before the first is answered. */
  readonly pipelined: number
}

/**
 * Who is connected to a listener. When it is full, whoever has waited the longest without a request makes room: a
 * stranger that opens thousands of connections and sends nothing, or sends slowly, only pushes out itself.
 */
export type Crowd = {
  enter(socket: Socket): void
  /**
   * The head of a request is there. `serve` it; `turn-away`: there was no room for its connection; `drop`: nothing may
   * be done for it.
   */
  begin(req: IncomingMessage, res: ServerResponse): 'serve' | 'turn-away' | 'drop'
  /** Its sender has proven who it is: the connection is not cut to make room for others. */
  known(req: IncomingMessage): void
  size(): number
}

/** Beyond the limit so many are let in to be told so; after that connections are closed as they come. */
export const turnedAwayAtOnce = 128
const turnedAwayMs = 1_000

type Guest = {
  readonly socket: Socket
  readonly remote: string
  readonly requests: Set<IncomingMessage>
  readonly known: WeakSet<IncomingMessage>
  readonly isTurnedAway: boolean
}

export function createCrowd(limits: CrowdLimits): Crowd {
  // In order of use: the first has waited the longest since its last request.
  const guests = new Map<Socket, Guest>()
  const remotes = new Map<string, number>()
  let inside = 0

  const leave = (guest: Guest): void => {
    if (!guests.delete(guest.socket) || guest.isTurnedAway) return
    inside -= 1
    const others = (remotes.get(guest.remote) ?? 1) - 1
    if (others > 0) remotes.set(guest.remote, others)
    else remotes.delete(guest.remote)
  }
  const cut = (of: (guest: Guest) => boolean): boolean => {
    for (const guest of guests.values()) {
      if (guest.isTurnedAway || !of(guest) || !isWaiting(guest)) continue
      leave(guest)
      guest.socket.destroy()
      return true
    }
    return false
  }
  const makeRoom = (remote: string): boolean => {
    if ((remotes.get(remote) ?? 0) >= limits.perRemote && !cut((guest) => guest.remote === remote))
      return false
    if (inside < limits.connections) return true
    const [crowd] = [...remotes].reduce((most, one) => (one[1] > most[1] ? one : most), ['', 0])
    return cut((guest) => guest.remote === crowd) || cut(() => true)
  }

  return {
    enter(socket) {
      const remote = socket.remoteAddress ?? ''
      const hasRoom = makeRoom(remote)
      const guest: Guest = {
        socket,
        remote,
        requests: new Set(),
        known: new WeakSet(),
        isTurnedAway: !hasRoom,
      }
      guests.set(socket, guest)
      socket.once('close', () => leave(guest))
      if (!hasRoom) return void setTimeout(() => socket.destroy(), turnedAwayMs).unref()
      inside += 1
      remotes.set(remote, (remotes.get(remote) ?? 0) + 1)
    },
    begin(req, res) {
      const guest = guests.get(req.socket)
      if (guest === undefined || req.socket.destroyed) return 'drop'
      if (guest.isTurnedAway) return 'turn-away'
      if (guest.requests.size >= limits.pipelined) {
        req.socket.destroy()
        return 'drop'
      }
      guest.requests.add(req)
      guests.delete(guest.socket)
      guests.set(guest.socket, guest)
      res.once('close', () => guest.requests.delete(req))
      return 'serve'
    },
    known: (req) => void guests.get(req.socket)?.known.add(req),
    size: () => inside,
  }
}

/** Nothing was asked yet, or the question is still coming in from somebody who has proven nothing. */
const isWaiting = ({ requests, known }: Guest): boolean =>
  [...requests].every((req) => !req.complete && !known.has(req))

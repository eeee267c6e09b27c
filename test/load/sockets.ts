import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** A client that does as it likes with its connection. */
export type Wire = {
  readonly socket: Socket
  /** What came so far. */
  heard(): string
}

/** Opens a connection and sends `bytes`. With `deaf` nothing of the answer is read. */
export async function open(
  port: number,
  bytes = '',
  { deaf = false, from = '127.0.0.1' } = {},
): Promise<Wire> {
  const socket = connect({ port, host: '127.0.0.1', localAddress: from })
  let heard = ''
  if (deaf) socket.pause()
  else socket.on('data', (data) => (heard += data.toString('latin1')))
  socket.on('error', () => undefined)
  await new Promise<void>((resolve) => {
    socket.once('connect', () => resolve())
    socket.once('close', () => resolve())
  })
  if (bytes !== '' && socket.writable) socket.write(bytes)
  return { socket, heard: () => heard }
}

/** Many at once, a few hundred at a time: the system's queue of new connections is short. */
export async function openMany(count: number, make: () => Promise<Wire>): Promise<Wire[]> {
  const wires: Wire[] = []
  while (wires.length < count) {
    const some = Math.min(250, count - wires.length)
    wires.push(...(await Promise.all(Array.from({ length: some }, make))))
  }
  return wires
}

export const closeAll = (wires: readonly Wire[]): void => {
  for (const { socket } of wires) socket.destroy()
}

/** Waits, ten seconds at most, until it holds. */
export async function until(holds: () => boolean | Promise<boolean>, what = 'it'): Promise<void> {
  for (const end = performance.now() + 10_000; !(await holds()); await sleep(10))
    if (performance.now() > end) throw new Error(`${what} never came to hold`)
}

export const head = (path: string, length: number, more = ''): string =>
  `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n${more}\r\n`

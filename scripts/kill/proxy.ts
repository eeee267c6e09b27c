import { connect, createServer, type Socket } from 'node:net'

/** A way to the database that can be cut. Nobody is told of a cut: what is sent goes nowhere, as on a real network. */
export type Proxy = {
  readonly port: number
  /** From now on nothing passes, in either direction; who connects is kept waiting. */
  cut(): void
  /**
   * `late`: what was held up arrives after all, in order, as packets do that are sent again. `gone`: those connections
   * are lost, as when the machine between has forgotten them.
   */
  heal(how: 'late' | 'gone'): void
  close(): Promise<void>
}

export async function startProxy(to: number): Promise<Proxy> {
  const pairs = new Set<readonly [Socket, Socket]>()
  let isCut = false
  const server = createServer({ pauseOnConnect: true }, (near) => {
    const far = connect({ port: to, host: '127.0.0.1', noDelay: true })
    const pair = [near, far] as const
    pairs.add(pair)
    near.setNoDelay(true)
    const end = (): void => {
      pairs.delete(pair)
      near.destroy()
      far.destroy()
    }
    for (const socket of pair) socket.on('error', end).on('close', end)
    near.on('data', (bytes) => void far.write(bytes))
    far.on('data', (bytes) => void near.write(bytes))
    for (const socket of pair) if (isCut) socket.pause()
    if (!isCut) near.resume()
  })
  const port = await new Promise<number>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      if (address === null || typeof address === 'string') reject(new Error('expected a port'))
      else resolve(address.port)
    })
  })
  const all = (): readonly Socket[] => [...pairs].flat()
  return {
    port,
    cut() {
      isCut = true
      for (const socket of all()) socket.pause()
    },
    heal(how) {
      isCut = false
      for (const socket of all()) {
        if (how === 'gone') socket.destroy()
        else socket.resume()
      }
    },
    async close() {
      for (const socket of all()) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

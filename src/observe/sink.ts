import { write as writeFile } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'

/** Where lines go without anybody waiting for them. */
export type Sink = {
  write(line: string): void
  /** Resolves when everything is written, or after `ms`. */
  flushed(ms: number): Promise<void>
}

/** Lines that wait for a reader. Beyond it the newest are lost, and counted. */
const mostBytes = 1024 * 1024

/**
 * A pipe whose reader stands still would stop the whole process at a write that waits: Node writes to pipes
 * synchronously. Here one write at a time is under way, off the loop; what comes meanwhile waits in a bounded buffer.
 * `write` resolves when the text is out.
 */
export function createSink(write: (text: string) => Promise<void>, onLost: (lines: number) => void): Sink {
  let waiting: string[] = []
  let bytes = 0
  let under: Promise<void> | null = null
  const drain = async (): Promise<void> => {
    while (waiting.length > 0) {
      const text = waiting.join('')
      const lines = waiting.length
      waiting = []
      bytes = 0
      await write(text).catch(() => onLost(lines))
    }
    under = null
  }
  return {
    write: (line) => {
      const size = Buffer.byteLength(line)
      if (bytes + size > mostBytes) return onLost(1)
      waiting.push(line)
      bytes += size
      under ??= drain()
    },
    flushed: async (ms) => {
      if (under === null) return
      const late = new AbortController()
      await Promise.race([under, pause(ms, undefined, { signal: late.signal }).catch(() => undefined)])
      late.abort()
    },
  }
}

/** A full pipe that does not block says so; its reader is asked again this much later. */
const againMs = 20

/** Writes all of a text to an open file, off the event loop. */
export const toDescriptor =
  (fd: number) =>
  async (text: string): Promise<void> => {
    const bytes = Buffer.from(text)
    for (let at = 0; at < bytes.length;) {
      const written = await some(fd, bytes.subarray(at))
      at += written
      if (written === 0) await pause(againMs)
    }
  }

function some(fd: number, bytes: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    writeFile(fd, bytes, (problem, written) => {
      if (problem === null) resolve(written)
      else if (problem.code === 'EAGAIN') resolve(0)
      else reject(problem)
    })
  })
}

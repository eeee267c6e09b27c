import { gather } from '../lib/gather.ts'

export type Lines = {
  push(chunk: Buffer): void
  /** In the middle of a line that is thrown away. */
  isDiscarding(): boolean
}

/**
 * Cuts a byte stream into lines (MCP stdio: one message a line). Memory is bounded: of a line longer than `limit`
 * nothing is kept, `onOverflow` is told with each chunk how many bytes of it have been thrown away so far.
 */
export function splitLines(options: {
  readonly limit: number
  readonly onLine: (line: Buffer) => void
  readonly onOverflow: (discarded: number) => void
}): Lines {
  const { limit, onLine, onOverflow } = options
  let kept = gather(limit)
  let discarded = 0

  const flush = (line: Buffer) => {
    const end = line.length > 0 && line[line.length - 1] === 0x0d ? line.length - 1 : line.length
    if (end > 0) onLine(line.subarray(0, end))
  }
  const overflow = (bytes: number) => {
    discarded += kept.size + bytes
    kept = gather(limit)
    onOverflow(discarded)
  }
  return {
    isDiscarding: () => discarded > 0,
    push(chunk) {
      let from = 0
      while (from < chunk.length) {
        const newline = chunk.indexOf(0x0a, from)
        const piece = chunk.subarray(from, newline === -1 ? chunk.length : newline)
        const isWhole = newline !== -1 && discarded === 0 && kept.size === 0 && piece.length <= limit
        if (isWhole) flush(piece)
        else if (discarded > 0 || !kept.add(piece)) overflow(piece.length)
        else if (newline !== -1) flush(kept.take())
        if (newline === -1) return
        discarded = 0
        from = newline + 1
      }
    },
  }
}

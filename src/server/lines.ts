export type Lines = {
  push(chunk: Buffer): void
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
  const kept: Buffer[] = []
  let size = 0
  let discarded = 0

  const flush = (tail: Buffer) => {
    const line = kept.length === 0 ? tail : Buffer.concat([...kept, tail], size + tail.length)
    kept.length = 0
    size = 0
    const end = line.length > 0 && line[line.length - 1] === 0x0d ? line.length - 1 : line.length
    if (end > 0) onLine(line.subarray(0, end))
  }
  const overflow = (bytes: number) => {
    discarded += size + bytes
    kept.length = 0
    size = 0
    onOverflow(discarded)
  }
  return {
    push(chunk) {
      let from = 0
      while (from < chunk.length) {
        const newline = chunk.indexOf(0x0a, from)
        const piece = chunk.subarray(from, newline === -1 ? chunk.length : newline)
        const tooLong = discarded > 0 || size + piece.length > limit
        if (tooLong) overflow(piece.length)
        else if (newline !== -1) flush(piece)
        else {
          kept.push(piece)
          size += piece.length
        }
        if (newline === -1) return
        discarded = 0
        from = newline + 1
      }
    },
  }
}

/** Bytes that arrive in pieces, kept in one place. */
export type Gather = {
  /** False, and nothing of the piece is kept, when it would be more than the limit. */
  add(piece: Uint8Array): boolean
  readonly size: number
  /** What has come so far, and starts anew. The bytes are the caller's. */
  take(): Buffer
}

const first = 4 * 1024
const nothing: Buffer = Buffer.alloc(0)

/**
 * Gathers at most `limit` bytes by copying. A list of pieces would be bounded in bytes and not in memory: each piece is
 * an object of a hundred bytes and more, so that a peer who sends 8 MiB byte by byte made the broker hold a gigabyte.
 * Grows with what has come (twice it at most), never with what was announced: an announcement costs nothing.
 */
export function gather(limit: number): Gather {
  let kept: Buffer = nothing
  let size = 0
  return {
    add(piece) {
      if (size + piece.length > limit) return false
      // Most bodies come in one piece: it gets its own size and no room to grow.
      if (size === 0 && kept === nothing) {
        kept = Buffer.from(piece)
        size = piece.length
        return true
      }
      if (size + piece.length > kept.length) {
        const room = Math.min(limit, Math.max(first, kept.length * 2, size + piece.length))
        const grown = Buffer.allocUnsafeSlow(room)
        kept.copy(grown, 0, 0, size)
        kept = grown
      }
      kept.set(piece, size)
      size += piece.length
      return true
    },
    get size() {
      return size
    },
    take() {
      const taken = kept.subarray(0, size)
      kept = nothing
      size = 0
      return taken
    },
  }
}

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
export const gather = (limit: number): Gather => new Gathering(limit)

/** A class, because every call needs several: its functions are made once. */
class Gathering implements Gather {
  readonly #limit: number
  #kept = nothing
  #size = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  get size(): number {
    return this.#size
  }

  add(piece: Uint8Array): boolean {
    const size = this.#size + piece.length
    if (size > this.#limit) return false
    if (this.#kept === nothing) {
      // Most bodies come in one piece: it gets its own size and no room to grow.
      this.#kept = Buffer.from(piece)
    } else {
      if (size > this.#kept.length) this.#grow(size)
      this.#kept.set(piece, this.#size)
    }
    this.#size = size
    return true
  }

  take(): Buffer {
    const taken = this.#kept.subarray(0, this.#size)
    this.#kept = nothing
    this.#size = 0
    return taken
  }

  #grow(least: number): void {
    const room = Math.min(this.#limit, Math.max(first, this.#kept.length * 2, least))
    const grown = Buffer.allocUnsafeSlow(room)
    this.#kept.copy(grown, 0, 0, this.#size)
    this.#kept = grown
  }
}

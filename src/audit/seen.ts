import { hash, randomBytes } from 'node:crypto'

/**
 * Remembers names without keeping them: 12 bytes for each, so that a verifier holds tens of millions of call ids.
 * A name that was never added is taken for a known one with a chance of 2^-96 for each pair; the random key keeps an
 * attacker from choosing names that collide.
 */
export class Seen {
  readonly #key = randomBytes(16).toString('latin1')
  #slots = new Uint32Array(3 * 1024)
  #count = 0

  /** Adds a name; false when it was there already. */
  add(name: string): boolean {
    if (this.#count * 2 >= this.#slots.length / 3) this.#double()
    const [a, b, c] = this.#digest(name)
    const at = find(this.#slots, a, b, c)
    if (this.#slots[at] !== 0) return false
    this.#slots.set([a, b, c], at)
    this.#count++
    return true
  }

  has(name: string): boolean {
    const [a, b, c] = this.#digest(name)
    return this.#slots[find(this.#slots, a, b, c)] !== 0
  }

  #digest(name: string): readonly [number, number, number] {
    const digest = Buffer.from(hash('sha256', this.#key + name, 'binary'), 'latin1')
    // Zero in the first place marks an empty slot.
    return [digest.readUInt32LE(0) || 1, digest.readUInt32LE(4), digest.readUInt32LE(8)]
  }

  #double(): void {
    const old = this.#slots
    const slots = new Uint32Array(old.length * 2)
    for (let i = 0; i < old.length; i += 3) {
      const [a = 0, b = 0, c = 0] = old.subarray(i, i + 3)
      if (a !== 0) slots.set([a, b, c], find(slots, a, b, c))
    }
    this.#slots = slots
  }
}

/** Where the three words stand, or the first empty slot after where they should. */
function find(slots: Uint32Array, a: number, b: number, c: number): number {
  const size = slots.length / 3
  for (let slot = a % size; ; slot = (slot + 1) % size) {
    const at = slot * 3
    if (slots[at] === 0 || (slots[at] === a && slots[at + 1] === b && slots[at + 2] === c)) return at
  }
}

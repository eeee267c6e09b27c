import type { Key } from './key.ts'

/** How far a value that a task has met is vouched for. A directory is a trusted field whose values are meant to be acted on. */
export type Standing = 'directory' | 'trusted' | 'untrusted'

const bit: { readonly [S in Standing]: number } = { directory: 1, trusted: 2, untrusted: 4 }

export type Place = { readonly call: string; readonly tool: string }
export type Met = { readonly standing: readonly Standing[]; readonly place: Place | null }

/**
 * Where a task has met values. Bounded: so many vouched-for ones, and apart from them so many untrusted ones, so that
 * nobody can push the former out by sending the latter. What was not kept is found nowhere, and counts as untrusted
 * once anything untrusted was read: forgetting never helps an attacker.
 *
 * 11 bytes a slot, filled to three quarters at most: under 46 KiB for a full one, under 1 KiB for an empty one.
 */
export class Origins {
  static readonly mostVouched = 1024
  static readonly mostUntrusted = 2048

  #slots = 64
  #keys = new Uint32Array(128)
  #flags = new Uint8Array(64)
  #calls = new Uint16Array(64)
  #places: Place[] = []
  #vouched = 0
  #untrusted = 0
  #overflowed = false

  /** Some values were not kept. */
  get overflowed(): boolean {
    return this.#overflowed
  }

  get bytes(): number {
    return this.#slots * 11 + this.#places.length * 96
  }

  learn(key: Key, standing: Standing, place: Place): void {
    const at = this.#find(key)
    const flags = this.#flags[at] ?? 0
    if ((flags & bit[standing]) !== 0) return
    if (!this.#hasRoom(standing, flags)) return void (this.#overflowed = true)
    if (standing === 'untrusted') this.#untrusted += 1
    else if ((flags & (bit.directory | bit.trusted)) === 0) this.#vouched += 1
    if (flags === 0) {
      this.#keys[at * 2] = key.high
      this.#keys[at * 2 + 1] = key.low
      this.#calls[at] = this.#numberOf(place)
    }
    this.#flags[at] = flags | bit[standing]
    if ((this.#vouched + this.#untrusted) * 4 > this.#slots * 3) this.#grow()
  }

  look(key: Key): Met | null {
    const at = this.#find(key)
    const flags = this.#flags[at] ?? 0
    if (flags === 0) return null
    const standing = (['directory', 'trusted', 'untrusted'] as const).filter(
      (one) => (flags & bit[one]) !== 0,
    )
    return { standing, place: this.#places[this.#calls[at] ?? 0] ?? null }
  }

  #hasRoom(standing: Standing, flags: number): boolean {
    if (standing === 'untrusted') return this.#untrusted < Origins.mostUntrusted
    return (flags & (bit.directory | bit.trusted)) !== 0 || this.#vouched < Origins.mostVouched
  }

  #numberOf(place: Place): number {
    const last = this.#places.length - 1
    if (this.#places[last]?.call === place.call) return last
    if (this.#places.length >= 0xffff) return last
    return this.#places.push(place) - 1
  }

  /** The key's slot, or the free one where it belongs. */
  #find({ high, low }: Key): number {
    const mask = this.#slots - 1
    for (let at = low & mask; ; at = (at + 1) & mask) {
      if (this.#flags[at] === 0) return at
      if (this.#keys[at * 2] === high && this.#keys[at * 2 + 1] === low) return at
    }
  }

  #grow(): void {
    const [keys, flags, calls, slots] = [this.#keys, this.#flags, this.#calls, this.#slots]
    this.#slots *= 2
    this.#keys = new Uint32Array(this.#slots * 2)
    this.#flags = new Uint8Array(this.#slots)
    this.#calls = new Uint16Array(this.#slots)
    for (let from = 0; from < slots; from += 1) {
      if (flags[from] === 0) continue
      const to = this.#find({ high: keys[from * 2] ?? 0, low: keys[from * 2 + 1] ?? 0 })
      this.#keys[to * 2] = keys[from * 2] ?? 0
      this.#keys[to * 2 + 1] = keys[from * 2 + 1] ?? 0
      this.#flags[to] = flags[from] ?? 0
      this.#calls[to] = calls[from] ?? 0
    }
  }
}

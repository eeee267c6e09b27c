import type { Clock } from '../lib/clock.ts'

/** What has to hold before calls should come here. */
export const checks = ['serving', 'store', 'policies', 'registry'] as const
export type Check = (typeof checks)[number]

export type Readiness = {
  readonly ready: boolean
  /** For operators only. */
  readonly checks: { readonly [Name in Check]: { readonly ok: boolean; readonly detail: string } }
}

/**
 * Whether this node should get calls. It is a hint to load balancers and no security: a node that is not ready refuses
 * by itself what it cannot record.
 */
export type Health = {
  readiness(): Readiness
  /** The broker has this part: `null` while it is missing, else whether it is as it should be, and words. */
  attach(parts: HealthParts): void
  /** A change of the store became durable. */
  beaten(): void
  /** Seconds since then; null before the first. */
  beatAge(): number | null
  /** No more: the node is going away. */
  drain(): void
  readonly draining: boolean
}

export type HealthParts = {
  readonly policies: () => { readonly ok: boolean; readonly detail: string }
  readonly registry: () => { readonly ok: boolean; readonly detail: string }
}

/** Ten beats of the heart may be late before calls should go elsewhere. */
const lateMs = 10_000

export function createHealth(clock: Clock): Health {
  let parts: HealthParts | null = null
  let lastBeat: number | null = null
  let draining = false
  const starting = { ok: false, detail: 'the broker is starting' }
  const store = () => {
    if (lastBeat === null) return { ok: false, detail: 'no change has become durable yet' }
    const age = Math.max(0, clock.now() - lastBeat)
    return age <= lateMs
      ? { ok: true, detail: 'changes become durable' }
      : { ok: false, detail: `no change has become durable for ${Math.round(age / 1000)} s` }
  }
  return {
    readiness: () => {
      const found = {
        serving: draining
          ? { ok: false, detail: 'the broker is stopping' }
          : parts === null
            ? starting
            : { ok: true, detail: 'calls are taken' },
        store: store(),
        policies: parts?.policies() ?? starting,
        registry: parts?.registry() ?? starting,
      }
      return { ready: checks.every((check) => found[check].ok), checks: found }
    },
    attach: (given) => (parts = given),
    beaten: () => (lastBeat = clock.now()),
    beatAge: () => (lastBeat === null ? null : Math.max(0, clock.now() - lastBeat) / 1000),
    drain: () => (draining = true),
    get draining() {
      return draining
    },
  }
}

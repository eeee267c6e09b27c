import type { ChangeName } from '../../src/store/changes.ts'
import type { StoreFault } from '../../src/store/fault.ts'

/** A fault that sleeps until a test arms it. */
export type Trap = {
  readonly fault: StoreFault
  arm(): void
  /** True when it has struck since it was armed; it sleeps again after. */
  disarm(): boolean
  /** Resolves when it strikes, or when it is disarmed. The writer of one that holds waits for `disarm`. */
  struck(): Promise<void>
}

export function setTrap(change: ChangeName, at: StoreFault['at'], how: StoreFault['how']): Trap {
  const trigger = new Int32Array(new SharedArrayBuffer(4))
  const set = (to: number): number => {
    const before = Atomics.exchange(trigger, 0, to)
    Atomics.notify(trigger, 0)
    return before
  }
  return {
    fault: { change, nth: 1, at, how, trigger },
    arm: () => void set(1),
    disarm: () => set(0) === -1,
    struck: async () => {
      const waiting = Atomics.waitAsync(trigger, 0, 1)
      if (waiting.async) await waiting.value
    },
  }
}

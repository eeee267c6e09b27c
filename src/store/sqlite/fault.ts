/**
 * Faults that a test injects into the writer, at the moments that matter: nothing is written yet, everything is
 * written but not answered, the commit itself fails. The key is a symbol, so that no configuration can name it.
 */
export const injectStoreFault: unique symbol = Symbol('inject a fault into the store (tests only)')

export type StoreFault = {
  /** The batch at which it happens, counted from 1. */
  readonly batch: number
  readonly at: 'before-commit' | 'commit' | 'after-commit'
  readonly how: 'die' | 'io-error' | 'hang'
}

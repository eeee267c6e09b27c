import type { Entry } from './target.ts'

/**
 * Everything that reads what strangers send. Shares are by cost: a parser takes microseconds, a call through the door a
 * socket and two durable entries.
 */
export const targets: readonly Entry[] = [
  {
    name: 'ijson',
    about: 'the strict JSON reader and the canonical writer',
    share: 12,
    slowMs: 500,
    open: async () => (await import('./targets/ijson.ts')).open(),
  },
]

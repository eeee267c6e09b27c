import type { RefusedOpening } from '../conflict.ts'
import type { StoreFaults } from '../fault.ts'
import type { Job, Reply } from '../jobs.ts'
import type { Opening } from './file.ts'

/** What crosses between the broker's thread and the writer's. */
export type ToWriter = { readonly kind: 'jobs'; readonly jobs: readonly Job[] } | { readonly kind: 'close' }

export type FromWriter =
  | { readonly kind: 'ready' }
  | { readonly kind: 'refused'; readonly problem: RefusedOpening | null; readonly message: string }
  | { readonly kind: 'replies'; readonly replies: readonly Reply[]; readonly broken: string | null }

export type WriterData = { readonly opening: Opening; readonly fault: StoreFaults | null }

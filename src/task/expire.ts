import type { Task } from './task.ts'

/**
 * Why a task is over at `now`, or null while it goes on. Pure. A task that was closed stays closed whatever the clock
 * says; time that runs backwards never counts as idle time.
 */
export function ended(task: Task, lastCallAt: number, now: number): 'closed' | 'expired' | 'idle' | null {
  if (task.state === 'closed') return 'closed'
  if (now >= task.expiresAt) return 'expired'
  const since = Math.max(task.openedAt, lastCallAt)
  return task.idleMs > 0 && now - since >= task.idleMs ? 'idle' : null
}

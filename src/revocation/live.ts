import type { Actor, Acts } from '../identity/actor.ts'
import type { Clock } from '../lib/clock.ts'
import type { Revocation, Revocations } from './revocations.ts'
import type { RevocationStore } from '../store/ports.ts'

/** The path's view of what is revoked, and the acts that change it. */
export type LiveRevocations = Revocations & {
  /** Aborts calls in flight at once; resolves when the revocation is durable and every new call sees it. */
  revoke(what: { readonly key: string; readonly reason: string }, by: Actor): Promise<Revocation>
  /** False when the key was not revoked. */
  lift(what: { readonly key: string; readonly reason: string }, by: Actor): Promise<boolean>
  list(): readonly Revocation[]
  /** Reads again what is revoked: another node may have changed it. Aborts calls in flight that it concerns. */
  refresh(): Promise<void>
  /** A task has ended: calls of it that are in flight, or about to be, are aborted. */
  taskEnded(task: string): void
  /** Told of each change, after it is durable. Gives the way to stop. */
  onChange(
    listener: (change: { readonly kind: 'revoked' | 'lifted'; readonly key: string }) => void,
  ): () => void
}

const kinds = ['agent', 'person', 'task', 'tool', 'server', 'secret', 'token'] as const
const mostWatchers = 10_000
const mostEnded = 10_000

/** Whether text is a key of the grammar in `revocations.ts`. */
export const isRevocationKey = (key: string): boolean =>
  key === 'all' ||
  (key.length <= 512 && kinds.some((kind) => key.startsWith(`${kind}:`) && key.length > kind.length + 1))

/** Loads what is revoked and keeps it in memory, where three comparisons per call cost nothing. */
export async function createRevocations(parts: {
  readonly store: RevocationStore
  readonly acts: Acts
  readonly clock: Clock
}): Promise<LiveRevocations> {
  const loaded = await parts.store.all()
  const revoked = new Map(loaded.revocations.map((one) => [one.key, one]))
  const watchers = createWatchers()
  const listeners = new Set<Parameters<LiveRevocations['onChange']>[0]>()
  let epoch = loaded.epoch
  let last: Promise<unknown> = Promise.resolve()

  // One change at a time: an epoch in memory must stand for every change up to it, or the commit point would compare
  // equal while a revocation is still missing here.
  const inOrder = <T>(work: () => Promise<T>): Promise<T> => {
    const mine = last.then(work)
    last = mine.catch(() => undefined)
    return mine
  }
  const first = (keys: readonly string[]): string | null => {
    if (revoked.size === 0) return null
    return revoked.has('all') ? 'all' : (keys.find((key) => revoked.has(key)) ?? null)
  }
  const told = (kind: 'revoked' | 'lifted', key: string): void => {
    for (const listener of listeners) listener({ kind, key })
  }

  const load = async (): Promise<void> => {
    const now = await parts.store.all()
    const before = new Map(revoked)
    revoked.clear()
    for (const one of now.revocations) revoked.set(one.key, one)
    epoch = now.epoch
    for (const key of revoked.keys()) {
      if (before.has(key)) continue
      watchers.abort(key)
      told('revoked', key)
    }
    for (const key of before.keys()) if (!revoked.has(key)) told('lifted', key)
  }
  // An epoch that moved by more than this change: another node's came between, and is not in memory yet.
  const arrived = async (next: number, change: () => void): Promise<void> => {
    if (next > epoch + 1) return load()
    epoch = next
    change()
  }

  return {
    first,
    epoch: () => epoch,
    watch: (keys) => watchers.watch(keys, first(keys) !== null),
    list: () => [...revoked.values()],
    refresh: () => inOrder(load),
    taskEnded: (task) => watchers.endTask(task),
    ended: (tasks) => tasks.find((task) => watchers.hasEnded(task)) ?? null,
    onChange(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    async revoke({ key, reason }, by) {
      if (!isRevocationKey(key))
        throw new TypeError(
          `expected \`all\` or one of ${kinds.map((kind) => `\`${kind}:…\``).join(', ')}, found \`${key}\``,
        )
      watchers.abort(key)
      return inOrder(async () => {
        const revocation: Revocation = {
          key,
          by: by.name,
          reason: reason.slice(0, 1000),
          at: parts.clock.now(),
        }
        const act = { act: 'revoked', subject: key, detail: { reason: revocation.reason } }
        const next = await parts.store.add(revocation, parts.acts(act, by))
        await arrived(next, () => revoked.set(key, revocation))
        // Again: calls may have started while it was being written.
        watchers.abort(key)
        told('revoked', key)
        return revocation
      })
    },
    lift: ({ key, reason }, by) =>
      inOrder(async () => {
        if (!revoked.has(key)) return false
        const act = { act: 'revocation-lifted', subject: key, detail: { reason: reason.slice(0, 1000) } }
        const next = await parts.store.lift(key, parts.acts(act, by))
        await arrived(next, () => revoked.delete(key))
        told('lifted', key)
        return true
      }),
  }
}

type Watcher = { readonly keys: readonly string[]; readonly controller: AbortController }

/** Signals by key. Bounded: beyond it a new watcher is aborted at once, as nothing could be said of it. */
function createWatchers() {
  const byKey = new Map<string, Set<Watcher>>()
  const endedTasks = new Set<string>()
  let count = 0

  const remove = (watcher: Watcher): void => {
    let found = false
    for (const key of watcher.keys) {
      const set = byKey.get(key)
      if (set?.delete(watcher) === true) found = true
      if (set?.size === 0) byKey.delete(key)
    }
    if (found) count -= 1
  }
  const abort = (key: string): void => {
    for (const watcher of byKey.get(key) ?? []) {
      remove(watcher)
      watcher.controller.abort(new Error(`\`${key}\` was revoked`))
    }
  }

  return {
    abort,
    watch(given: readonly string[], already: boolean) {
      const watcher: Watcher = { keys: [...new Set(['all', ...given])], controller: new AbortController() }
      if (already || count >= mostWatchers || watcher.keys.some((key) => endedTasks.has(key))) {
        watcher.controller.abort(new Error(already ? 'revoked' : 'ended, or too many calls in flight'))
        return { signal: watcher.controller.signal, dispose: () => undefined }
      }
      for (const key of watcher.keys) byKey.set(key, (byKey.get(key) ?? new Set()).add(watcher))
      count += 1
      return { signal: watcher.controller.signal, dispose: () => remove(watcher) }
    },
    hasEnded: (task: string): boolean => endedTasks.has(`task:${task}`),
    endTask(task: string) {
      const key = `task:${task}`
      endedTasks.add(key)
      if (endedTasks.size > mostEnded)
        for (const oldest of endedTasks) {
          endedTasks.delete(oldest)
          break
        }
      abort(key)
    },
  }
}

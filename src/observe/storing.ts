import { changes } from '../store/changes.ts'
import { StoreUnavailable, type Store } from '../store/ports.ts'
import type { Meter } from './meter.ts'

/**
 * The store with somebody watching how long changes take to become durable, how many wait, and how many come together.
 * What only reads is not watched: it is measured by the stages that read.
 */
export function watchedStore(
  store: Store,
  watch: { readonly meter: Meter; readonly onDurable: () => void },
): Store {
  const watched = watchChanges(watch)
  const of = <Aggregate extends object>(name: string, aggregate: Aggregate): Aggregate =>
    proxied(aggregate, (verb) => {
      const change = `${name}.${verb}`
      return Object.hasOwn(changes, change) ? (work) => watched(change, work) : null
    })
  return {
    ...store,
    tasks: of('tasks', store.tasks),
    agents: of('agents', store.agents),
    registry: of('registry', store.registry),
    approvals: of('approvals', store.approvals),
    calls: of('calls', store.calls),
    flow: of('flow', store.flow),
    log: of('log', store.log),
    revocations: of('revocations', store.revocations),
    secrets: of('secrets', store.secrets),
    policies: of('policies', store.policies),
    settings: of('settings', store.settings),
  }
}

type Around = (verb: string, work: () => unknown) => unknown
type Watch = (work: () => unknown) => unknown

/**
 * Every verb of an aggregate goes through what `watchOf` gives for it, once and for all; null leaves it alone. A store
 * has fifty, and each new one is watched without a line here.
 */
function proxied<Aggregate extends object>(
  aggregate: Aggregate,
  watchOf: (verb: string) => Watch | null,
): Aggregate {
  const made = new Map<string | symbol, unknown>()
  return new Proxy(aggregate, {
    get: (target, property) => {
      const known = made.get(property)
      if (known !== undefined) return known
      const value: unknown = Reflect.get(target, property)
      if (typeof value !== 'function' || typeof property !== 'string') return value
      const watch = watchOf(property)
      const plain = (...given: readonly unknown[]): unknown => Reflect.apply(value, target, given)
      const verb =
        watch === null ? plain : (...given: readonly unknown[]): unknown => watch(() => plain(...given))
      made.set(property, verb)
      return verb
    },
  })
}

function watchChanges({
  meter,
  onDurable,
}: {
  readonly meter: Meter
  readonly onDurable: () => void
}): Around {
  let pending = 0
  let together = 0
  meter.read('countersign.store.pending', () => pending)
  // Those that resolve within one turn of the loop became durable at once: SQLite commits them in one transaction.
  const landed = (): void => {
    together += 1
    if (together > 1) return
    setImmediate(() => {
      meter.record('countersign.store.batch.size', {}, together)
      together = 0
    })
  }
  return async (verb, work) => {
    const started = performance.now()
    const finish = (end: string) =>
      meter.record('countersign.store.change.duration', { verb, end }, (performance.now() - started) / 1000)
    pending += 1
    try {
      const result = await work()
      finish('durable')
      landed()
      onDurable()
      return result
    } catch (problem) {
      finish(problem instanceof StoreUnavailable ? 'unavailable' : 'failed')
      throw problem
    } finally {
      pending -= 1
    }
  }
}

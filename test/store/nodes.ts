import { after, before } from 'node:test'
import type { TestContext } from 'node:test'
import { openPostgres } from '../../src/store/postgres.ts'
import type { PostgresOptions } from '../../src/store/postgres.ts'
import type { News } from '../../src/store/news.ts'
import type { Store } from '../../src/store/ports.ts'
import { startCluster } from '../postgres.ts'
import type { Cluster } from '../postgres.ts'

/** One PostgreSQL for the file. */
export function aCluster(): () => Cluster {
  const held: { cluster: Cluster | null } = { cluster: null }
  before(async () => void (held.cluster = await startCluster()))
  after(() => held.cluster?.end())
  return () => {
    if (held.cluster === null) throw new Error('expected a cluster')
    return held.cluster
  }
}

/** A broker's store on the database, closed after the test. */
export async function aNode(t: TestContext, options: PostgresOptions): Promise<Store> {
  const store = await openPostgres(options)
  t.after(() => store.close())
  return store
}

/** Several brokers on one database, by their number. */
export async function someNodes(
  t: TestContext,
  count: number,
  options: PostgresOptions,
): Promise<(n: number) => Store> {
  const stores = await Promise.all(Array.from({ length: count }, () => aNode(t, options)))
  return (n) => {
    const store = stores[n]
    if (store === undefined) throw new Error(`expected a node below ${count}`)
    return store
  }
}

/** What the node is told from now on; `first` waits for news of a kind. */
export function listening(store: Store) {
  const heard: News[] = []
  const waiting = new Set<() => void>()
  store.watch((news) => {
    heard.push(news)
    for (const look of waiting) look()
  })
  const first = <Kind extends News['kind']>(kind: Kind): Promise<Extract<News, { kind: Kind }>> =>
    new Promise((resolve) => {
      const look = (): void => {
        const found = heard.find((news): news is Extract<News, { kind: Kind }> => news.kind === kind)
        if (found === undefined) return
        waiting.delete(look)
        resolve(found)
      }
      waiting.add(look)
      look()
    })
  return { heard, first }
}

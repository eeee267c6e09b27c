import { int, query } from '../query.ts'
import type { Heads } from '../ports.ts'
import type { Row, Verb } from '../query.ts'

type Head = keyof Heads

const column = (name: Head): string => `(select value from heads where name = '${name}') as ${name}_head`
/** All of them at once, beside whatever else is asked: read for every call, at `bind` and again at the commit point. */
export const headColumns = `${column('registry')}, ${column('policies')}, ${column('revocations')}`

export const headsOf = (row: Row): Heads => ({
  registry: int(row, 'registry_head'),
  policies: int(row, 'policies_head'),
  revocations: int(row, 'revocations_head'),
})

export function* heads(): Verb<Heads> {
  const [row] = yield query(`select ${headColumns}`)
  if (row === undefined) throw new TypeError('expected the heads')
  return headsOf(row)
}

export function* advance(name: Head): Verb<number> {
  const [row] = yield query('update heads set value = value + 1 where name = $1 returning value', name)
  if (row === undefined) throw new TypeError(`expected the head \`${name}\``)
  return int(row, 'value')
}

export const same = (a: Heads, b: Heads): boolean =>
  a.registry === b.registry && a.policies === b.policies && a.revocations === b.revocations

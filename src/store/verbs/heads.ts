import { int, query, text } from '../query.ts'
import type { Heads } from '../ports.ts'
import type { Verb } from '../query.ts'

type Head = keyof Heads

/** All of them at once: read for every call, at `bind` and again at the commit point. */
export function* heads(): Verb<Heads> {
  const rows = yield query('select name, value from heads')
  const of = (name: Head): number => {
    const row = rows.find((one) => text(one, 'name') === name)
    if (row === undefined) throw new TypeError(`expected the head \`${name}\``)
    return int(row, 'value')
  }
  return { registry: of('registry'), policies: of('policies'), revocations: of('revocations') }
}

export function* advance(name: Head): Verb<number> {
  const [row] = yield query('update heads set value = value + 1 where name = $1 returning value', name)
  if (row === undefined) throw new TypeError(`expected the head \`${name}\``)
  return int(row, 'value')
}

export const same = (a: Heads, b: Heads): boolean =>
  a.registry === b.registry && a.policies === b.policies && a.revocations === b.revocations

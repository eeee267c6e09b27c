import type { PolicySet } from '../ports.ts'
import { json, query, toJson } from '../query.ts'
import type { Verb } from '../query.ts'
import { advance, heads } from './heads.ts'
import { appendAct } from './log.ts'

const setting = 'policy'

export function* live(): Verb<{ readonly head: number; readonly set: PolicySet } | null> {
  const [row] = yield query('select value from settings where name = $1', setting)
  if (row === undefined) return null
  return { head: (yield* heads()).policies, set: json<PolicySet>(row, 'value') }
}

export function* put(input: { readonly set: PolicySet; readonly entry: Uint8Array }): Verb<number> {
  const { version, over, files } = input.set
  yield query(
    'insert into settings (name, value) values ($1, $2) on conflict (name) do update set value = excluded.value',
    setting,
    toJson({ version, over, files }),
  )
  yield* appendAct(input.entry)
  return yield* advance('policies')
}

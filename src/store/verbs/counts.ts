import { int, intOrNull, query } from '../query.ts'
import type { Counts } from '../ports.ts'
import type { Verb } from '../query.ts'

/** How much is open at `now`, for those who watch. Each count is answered by an index over what is open alone. */
export function* counts(now: number): Verb<Counts> {
  const [row] = yield query(
    `select
       (select count(*) from tasks where state = 'open') as tasks,
       (select count(*) from asks where state = 'pending' and expires_at > $1) as asks,
       (select min(asked_at) from asks where state = 'pending' and expires_at > $1) as oldest_ask,
       (select count(*) from leases) as leases,
       (select count(*) from calls where outcome is null) as unsettled`,
    now,
  )
  if (row === undefined) throw new TypeError('expected one row of counts')
  return {
    tasks: int(row, 'tasks'),
    asks: int(row, 'asks'),
    oldestAsk: intOrNull(row, 'oldest_ask'),
    leases: int(row, 'leases'),
    unsettled: int(row, 'unsettled'),
  }
}

import { placesOf } from '../flow/flow.ts'
import { spillOf } from '../flow/spill.ts'
import type { Approved, Labelled } from './states.ts'
import type { JsonObject } from '../lib/json.ts'

/** What a call leaves where others read, recorded with its intent; see `spillOf`. `sent` has what a leg sends back, too. */
export const written = (
  { tool, bound, known, arguments: args }: Pick<Approved, 'tool' | 'bound' | 'known' | 'arguments'>,
  sent: JsonObject,
): string | null =>
  spillOf({
    server: tool.server,
    effects: tool.review?.effects ?? [],
    labels: bound.labels,
    keys: placesOf(tool.review, args, known.secret),
    arguments: sent,
    known,
  })

/** Ids that the server gave to what a tainted task has made; what it wrote itself was recorded before it was sent. */
export function returned({
  tool,
  bound,
  known,
  lessons,
}: Pick<Labelled, 'tool' | 'bound' | 'known' | 'lessons'>): string | null {
  const ids = lessons.filter(({ standing }) => standing !== 'untrusted').map(({ key }) => key)
  const effects = tool.review?.effects ?? []
  return ids.length === 0
    ? null
    : spillOf({ server: tool.server, effects, labels: bound.labels, keys: ids, known })
}

import { compare, type Comparison, type Lost } from './compare.ts'
import { runThrough } from './through.ts'
import type { Eras } from './server.ts'
import type { Found, Revision } from './suite.ts'

/** A client of one era and a server of the other, with the broker between them. */
export type Crossing = { readonly client: Revision; readonly server: Exclude<Eras, 'both'> }

export const crossings: readonly Crossing[] = [
  { client: '2026-07-28', server: 'legacy' },
  { client: '2025-11-25', server: 'modern' },
]

const unnamed =
  'a server of a revision before 2026-07-28 asks by a request that has no name, so nobody can know the name that the newer server would have given it'

/** What cannot be carried from one era to the other, and why. */
const inherent: { readonly [id: string]: string } = {
  'input-required-result-basic-elicitation:sep-2322-elicitation-incomplete': unnamed,
  'input-required-result-basic-elicitation:sep-2322-elicitation-complete': unnamed,
  'input-required-result-ignore-extra-params:sep-2322-ignore-unexpected-params': unnamed,
}

export type Crossed = Crossing &
  Omit<Comparison, 'lost'> & {
    readonly lost: readonly Lost[]
    readonly excepted: readonly { readonly id: string; readonly reason: string }[]
  }

/** Compared with the same client at a server of its own era: `direct`. */
export async function cross(crossing: Crossing, direct: Found): Promise<Crossed> {
  const through = await runThrough({ revision: crossing.client, eras: crossing.server })
  const { lost, ...counts } = compare(direct, through)
  const isInherent = ({ id }: Lost) => crossing.server === 'legacy' && Object.hasOwn(inherent, id)
  return {
    ...crossing,
    ...counts,
    lost: lost.filter((one) => !isInherent(one)),
    excepted: lost.filter(isInherent).map(({ id }) => ({ id, reason: inherent[id] ?? '' })),
  }
}

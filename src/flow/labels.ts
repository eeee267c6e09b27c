/**
 * What is known about data. A task's labels are the join of all it has read; they only rise (I6).
 * Unlabelled data is `internal` and `untrusted`.
 */
export const confidentialities = ['public', 'internal', 'confidential', 'secret'] as const
export type Confidentiality = (typeof confidentialities)[number]
export type Integrity = 'trusted' | 'untrusted'

export type Labels = {
  readonly confidentiality: Confidentiality
  readonly integrity: Integrity
  /** Tool ids whose results gave the labels their height; bounded by `maxSources`, sorted, `…` last when some were left out. */
  readonly sources: readonly string[]
}

/** What a result carries when its tool says nothing of it. */
export const unlabelled: Pick<Labels, 'confidentiality' | 'integrity'> = {
  confidentiality: 'internal',
  integrity: 'untrusted',
}

/** A task that has read nothing. */
export const clean: Labels = { confidentiality: 'public', integrity: 'trusted', sources: [] }

const maxSources = 16

export const rank = (c: Confidentiality): number => confidentialities.indexOf(c)

/** Least upper bound. Commutative, associative, idempotent; a property test holds it to that. */
export function join(a: Labels, b: Labels): Labels {
  const confidentiality =
    rank(a.confidentiality) >= rank(b.confidentiality) ? a.confidentiality : b.confidentiality
  const integrity = a.integrity === 'untrusted' || b.integrity === 'untrusted' ? 'untrusted' : 'trusted'
  return { confidentiality, integrity, sources: joinSources(a.sources, b.sources) }
}

export const covers = (high: Labels, low: Labels): boolean =>
  rank(high.confidentiality) >= rank(low.confidentiality) &&
  (high.integrity === 'untrusted' || low.integrity === 'trusted')

function joinSources(a: readonly string[], b: readonly string[]): readonly string[] {
  const all = [...new Set([...a, ...b])].filter((source) => source !== '…').sort()
  const overflowed = all.length > maxSources || a.includes('…') || b.includes('…')
  return overflowed ? [...all.slice(0, maxSources), '…'] : all
}

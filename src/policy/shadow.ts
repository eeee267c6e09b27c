import type { Judgement, PolicySnapshot } from './judge.ts'

/** A call that the live policies have just judged, and the way to put it to others. */
export type Seen = {
  readonly call: string
  /** Tool id. */
  readonly tool: string
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly live: Judgement
  judge(policy: PolicySnapshot): Judgement
}

/** Calls of one tool on which two sets differed in the same way, within one window. Holds no argument's value. */
export type ShadowDifference = {
  readonly tool: string
  readonly policy: string
  readonly live: Said
  /** Null: the shadow failed on it. */
  readonly shadow: Said | null
  readonly count: number
  /** The first of them. */
  readonly calls: readonly string[]
  readonly since: number
  readonly until: number
}

export type Said = Pick<Judgement, 'decision' | 'policies' | 'requirement'>

export type Shadow = {
  /** Judges the call once more and notes a difference. Changes nothing and never throws: it must not touch the call. */
  see(seen: Seen): void
  /** Differences whose window has ended at `now`; `Infinity` gives all. */
  drain(now: number): readonly ShadowDifference[]
}

const windowMs = 60_000
const mostGroups = 256
const mostCalls = 10
/** Runs of one call are told apart from other calls among so many. */
const mostRemembered = 4096

type Group = { -readonly [Name in keyof ShadowDifference]: ShadowDifference[Name] }

/**
 * A proposed set beside the live one. Bounded: a flood of differences ends in counts, and of groups in one for the rest.
 * `snapshot` gives the proposed set as of now, or null while there is none.
 */
export function createShadow(snapshot: () => PolicySnapshot | null): Shadow {
  const groups = new Map<string, Group>()
  // A call is judged again when what it read has moved, and when its approval has come: it is one difference.
  const looked = new Set<string>()

  function note(seen: Seen, policy: string, shadow: Said | null): void {
    const live = saidBy(seen.live)
    if (shadow !== null && isSame(live, shadow)) return
    const own = JSON.stringify([seen.tool, policy, live, shadow])
    const isKnown = groups.has(own) || groups.size < mostGroups
    const key = isKnown ? own : '…'
    const group = groups.get(key)
    if (group === undefined) {
      const tool = isKnown ? seen.tool : '…'
      groups.set(key, {
        tool,
        policy,
        live,
        shadow,
        count: 1,
        calls: [seen.call],
        since: seen.at,
        until: seen.at,
      })
      return
    }
    group.count += 1
    group.until = Math.max(group.until, seen.at)
    if (group.calls.length < mostCalls) group.calls = [...group.calls, seen.call]
  }

  return {
    see(seen) {
      const policy = snapshot()
      if (policy === null || looked.has(seen.call)) return
      if (looked.size >= mostRemembered) looked.clear()
      looked.add(seen.call)
      try {
        note(seen, policy.version, saidBy(seen.judge(policy)))
      } catch {
        note(seen, policy.version, null)
      }
    },
    drain(now) {
      const drained: ShadowDifference[] = []
      for (const [key, group] of groups) {
        // A window in the future was opened before the clock went back: it has ended, too.
        if (now - group.since < windowMs && now >= group.since) continue
        groups.delete(key)
        drained.push(group)
      }
      return drained
    },
  }
}

const saidBy = ({ decision, policies, requirement }: Judgement): Said => ({ decision, policies, requirement })

/** Which policies decided is not compared: sets that say the same for other reasons do the same. */
const isSame = (a: Said, b: Said): boolean =>
  a.decision === b.decision &&
  a.requirement?.count === b.requirement?.count &&
  a.requirement?.independent === b.requirement?.independent &&
  a.requirement?.proof === b.requirement?.proof

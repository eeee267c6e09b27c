import { Session, type Profiler } from 'node:inspector'

export type Ran = {
  /** How many characters of it had never run before. */
  readonly fresh: number
  /** From now on they have. */
  keep(): void
}

/** Which characters of the sources have run, as V8's own block counters tell (precise coverage, no instrumentation). */
export type Coverage = {
  /** What ran since the last question. */
  ran(): Ran
  /** Characters that have run in all. */
  total(): number
  /** Forgets everything that was remembered. */
  forget(): void
  stop(): void
}

/**
 * Must be started before what is measured is loaded: V8 puts block counters in when it compiles. `within` picks the
 * scripts by URL. One question costs half a millisecond to ten, by how much code is loaded, so a loop asks once for many
 * inputs and looks closer only when a batch brought something new.
 */
export function startCoverage(within: (url: string) => boolean): Coverage {
  const session = new Session()
  session.connect()
  call(session, 'Profiler.enable')
  call(session, 'Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  const maps = new Map<string, Uint8Array>()
  let total = 0
  const take = (): readonly Profiler.ScriptCoverage[] =>
    call(session, 'Profiler.takePreciseCoverage').result.filter(({ url }) => within(url))
  const count = (scripts: readonly Profiler.ScriptCoverage[], remember: boolean): number => {
    let fresh = 0
    for (const script of scripts) fresh += visit(mapOf(maps, script), script, remember)
    if (remember) total += fresh
    return fresh
  }
  return {
    ran: () => {
      const scripts = take()
      return { fresh: count(scripts, false), keep: () => void count(scripts, true) }
    },
    total: () => total,
    forget: () => {
      maps.clear()
      total = 0
      take()
    },
    stop() {
      call(session, 'Profiler.stopPreciseCoverage')
      session.disconnect()
    },
  }
}

type Answers = { readonly 'Profiler.takePreciseCoverage': Profiler.TakePreciseCoverageReturnType }

/** `node:inspector` answers before `post` returns when it is asked about its own thread. */
function call<Method extends string>(
  session: Session,
  method: Method,
  params: object = {},
): Method extends keyof Answers ? Answers[Method] : unknown {
  let answer: unknown
  session.post(method, params, (problem: Error | null, result?: object) => {
    if (problem !== null) throw problem
    answer = result
  })
  // The protocol's own types say what each method answers.
  return answer as Method extends keyof Answers ? Answers[Method] : unknown
}

function mapOf(maps: Map<string, Uint8Array>, { url, functions }: Profiler.ScriptCoverage): Uint8Array {
  const end = Math.max(0, ...functions.map(({ ranges }) => ranges[0]?.endOffset ?? 0))
  const known = maps.get(url)
  if (known !== undefined && known.length >= end) return known
  const map = new Uint8Array(end + 64)
  if (known !== undefined) map.set(known)
  maps.set(url, map)
  return map
}

function visit(map: Uint8Array, { functions }: Profiler.ScriptCoverage, remember: boolean): number {
  let fresh = 0
  // All functions of a script together: those inside others are told apart, and what was not called is left out.
  const ranges = functions
    .flatMap((each) => each.ranges)
    .sort((a, b) => a.startOffset - b.startOffset || b.endOffset - a.endOffset)
  for (const [from, to] of covered(ranges)) {
    for (let at = map.indexOf(0, from); at !== -1 && at < to; at = map.indexOf(0, at)) {
      fresh += 1
      if (remember) map[at] = 1
      else at += 1
    }
  }
  return fresh
}

/** Ranges are nested, outer first: what ran is the outer one without the inner ones that did not, and so on inwards. */
export function covered(ranges: readonly Profiler.CoverageRange[]): readonly (readonly [number, number])[] {
  const out: [number, number][] = []
  const open: Profiler.CoverageRange[] = []
  let at = 0
  const until = (end: number): void => {
    const top = open.at(-1)
    if (top !== undefined && top.count > 0 && end > at) {
      const last = out.at(-1)
      if (last?.[1] === at) last[1] = end
      else out.push([at, end])
    }
    at = Math.max(at, end)
  }
  for (const range of ranges) {
    for (let top = open.at(-1); top !== undefined && top.endOffset <= range.startOffset; top = open.at(-1)) {
      until(top.endOffset)
      open.pop()
    }
    until(range.startOffset)
    open.push(range)
  }
  for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
    until(top.endOffset)
    open.pop()
  }
  return out
}

import { events, fields, levels, type EventName, type Level, type Said } from './fields.ts'
import { rfc3339, type Clock } from '../lib/clock.ts'
import type { Fact } from './hub.ts'

/** One JSON object a line, for machines that collect them. No payload, no words of agents, servers or people. */
export type Log = {
  say(event: EventName, said?: Said): void
  /** A surprise: what kind and where it came from. Its words stay out: nobody has classified them. */
  fault(fault: unknown): void
  /** What people who watch are told, as lines. */
  fact(fact: Fact): void
}

export type LogParts = {
  readonly write: (line: string) => void
  readonly clock: Clock
  readonly level: Level
  readonly broker: () => string | null
}

const longest = 200
const order = (level: Level): number => levels.indexOf(level)

export function createLog({ write, clock, level, broker }: LogParts): Log {
  const say = (event: EventName, said: Said = {}): void => {
    const own = events[event]
    if (order(own) < order(level)) return
    const line: { [field: string]: string | number } = { time: rfc3339(clock.now()), level: own, event }
    const all = { broker: broker(), ...said }
    for (const [name, value] of Object.entries(all)) {
      if (value === null || value === undefined || !Object.hasOwn(fields, name)) continue
      line[name] = typeof value === 'string' ? value.slice(0, longest).toWellFormed() : value
    }
    write(`${JSON.stringify(line)}\n`)
  }
  return {
    say,
    fault: (fault) => say('fault', { error: kindOf(fault), at: placeOf(fault) }),
    fact: (fact) => say(...spoken(fact)),
  }
}

function spoken(fact: Fact): readonly [EventName, Said] {
  switch (fact.kind) {
    case 'call': {
      const { call, task, trace, agent, registered, end, ms } = fact
      return [fact.refused ? 'refused' : 'call', { call, task, trace, agent, tool: registered, end, ms }]
    }
    case 'ask':
    case 'answered': {
      const { id, call, task, agent, tool, state } = fact.ask
      return [fact.kind, { ask: id, call, task, agent, tool, state }]
    }
    case 'act':
      return ['act', { act: fact.act }]
  }
}

/** A class of error, as code writes it, with the system's code where there is one. */
function kindOf(fault: unknown): string {
  if (!(fault instanceof Error)) return 'no-error'
  const name = /^[A-Za-z]{1,60}$/.test(fault.name) ? fault.name : 'Error'
  const code = 'code' in fault && typeof fault.code === 'string' ? fault.code : ''
  return /^[A-Z][A-Z0-9_]{1,40}$/.test(code) ? `${name} ${code}` : name
}

/** The first place in the stack that is this program's: its file and line, which everybody may read. */
function placeOf(fault: unknown): string | undefined {
  if (!(fault instanceof Error) || fault.stack === undefined) return undefined
  const frame = /^\s+at .*?[/\\](?:src|dist)[/\\]([a-z/\\]{1,80}\.[tj]s):(\d{1,6}):\d+\)?$/m.exec(fault.stack)
  return frame === null ? undefined : `${frame[1]}:${frame[2]}`
}

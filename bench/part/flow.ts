import { createFlow, encodeLessons } from '../../src/flow/live.ts'
import { encodeFact, type Fact } from '../../src/flow/fact.ts'
import { flowOf } from '../../src/flow/flow.ts'
import { learn } from '../../src/flow/learn.ts'
import { noSinks } from '../../src/flow/sinks.ts'
import { parseMeasures } from '../../src/flow/measure.ts'
import { percentile, short } from '../stats.ts'
import { benchTool, question } from './decide.ts'
import type { FlowRow } from '../../src/store/ports.ts'
import type { Part } from '../part.ts'

const secret = new Uint8Array(32).fill(1)

/** A line as mails and tickets have them: an address, a number, a link and words. */
const lineOf = (n: number): string =>
  `From person${n}@example.com about order ${100_000 + n}: see https://example.com/orders/${n} and tell the others.\n`

/** Results of altogether a megabyte, and what a task learns from them. */
function lessons(): readonly FlowRow[] {
  const rows: FlowRow[] = []
  for (let at = 0, seq = 0; at < 1024 * 1024; seq += 1) {
    const text = Array.from({ length: 50 }, (_, n) => lineOf(seq * 50 + n)).join('')
    at += text.length
    const result = { content: [{ type: 'text', text }] }
    const own = { confidentiality: 'internal', integrity: 'untrusted' } as const
    const tool = { id: 'up/tool_0', server: 'up' }
    const learnt = learn({ result, results: undefined, own, tool, secret, sinks: noSinks, places: [] })
    rows.push({ scope: 'task:t', seq, call: `c_${seq}`, at: 0, body: encodeLessons(tool.id, learnt.lessons) })
  }
  return rows
}

function facts(now: number, count: number): readonly FlowRow[] {
  return Array.from({ length: count }, (_, seq) => {
    const at = now - (count - seq) * 3000
    const fact: Fact = {
      at,
      agent: 'coder',
      tasks: ['t'],
      tool: `up/tool_${seq % 100}`,
      effects: seq % 4 === 0 ? ['egress'] : ['read'],
      keys: { recipient: [String(seq % 50).padStart(16, '0')] },
      amount: null,
      risk: 2,
    }
    return { scope: 'person:owner', seq, call: `c_${seq}`, at, body: encodeFact(fact) }
  })
}

const rules =
  'sent = count of effect:egress within 1h by agent; reached = distinct recipient of effect:egress within 1h by person; risk = sum risk by line'

/**
 * What the flow engine adds to a decision: tracing two targets and three measures, with a history of 1,000 calls and a
 * megabyte of results seen; what a full index of a task holds; and what a 100 KB result costs where labels are made.
 */
export const flow: Part = async ({ quick }) => {
  const now = Date.now()
  const rows = [...lessons(), ...facts(now, 1000)]
  const live = createFlow({
    secret,
    store: {
      since: async (scopes) =>
        scopes.flatMap(({ scope, from }) => rows.filter((row) => row.scope === scope && row.seq >= from)),
      tailOf: async () => 0,
    },
  })
  const base = benchTool(1, ['egress'])
  const tool = {
    ...base,
    review:
      base.review === null
        ? null
        : ({
            ...base.review,
            bears: [
              { at: '/path', kind: 'url' },
              { at: '/content', kind: 'recipient' },
            ],
          } as const),
  }
  const { bound } = question(tool, '/x')
  const met = rows.filter(({ scope }) => scope === 'task:t').length
  const known = await live.known({ ...bound, flow: { task: met, above: [], person: 1000, sinks: 0 } }, now)
  const parsed = parseMeasures(rules)
  if (!parsed.ok) throw new Error(parsed.problem)
  const labels = { confidentiality: 'internal', integrity: 'untrusted', sources: [] } as const
  const rounds = quick ? 2000 : 20_000
  const once = (round: number): void => {
    const call = { path: `https://example.com/orders/${round}`, content: `person${round}@example.com` }
    const made = flowOf({ tool, arguments: call, agent: 'coder', tasks: ['t'], labels, now }, known)
    for (const measure of parsed.measures) made.measure(measure)
  }
  for (let round = 0; round < rounds; round += 1) once(round)
  const times = Array.from({ length: rounds }, (_, round) => {
    const from = process.hrtime.bigint()
    once(round)
    return Number(process.hrtime.bigint() - from) / 1000
  })
  return {
    flow_us: short(percentile(times, 0.5)),
    flow_p99_us: short(percentile(times, 0.99)),
    learn_100k_us: short(learning(quick ? 20 : 100)),
    task_bytes: live.size().bytes,
  }
}

function learning(rounds: number): number {
  const text = Array.from({ length: 900 }, (_, n) => lineOf(n)).join('')
  const own = { confidentiality: 'internal', integrity: 'untrusted' } as const
  const times = Array.from({ length: rounds }, () => {
    const from = process.hrtime.bigint()
    learn({
      result: { content: [{ type: 'text', text }] },
      results: undefined,
      own,
      tool: { id: 'up/tool_0', server: 'up' },
      secret,
      sinks: noSinks,
      places: [],
    })
    return Number(process.hrtime.bigint() - from) / 1000
  })
  return percentile(times.slice(Math.floor(rounds / 4)), 0.5)
}

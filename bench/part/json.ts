import { canonical } from '../../src/lib/jcs.ts'
import { each, short } from '../stats.ts'
import { parseIJson } from '../../src/lib/ijson.ts'
import type { Figures, Part } from '../part.ts'

const call = {
  jsonrpc: '2.0',
  id: 17,
  method: 'tools/call',
  params: {
    name: 'files__write_file',
    arguments: { path: '/srv/data/report.txt', content: 'Quarterly numbers:\n- up 4.2 %\n', append: false },
    _meta: { progressToken: 3, 'io.modelcontextprotocol/protocolVersion': '2026-07-28' },
  },
}
const listed = {
  tools: Array.from({ length: 500 }, (_, i) => ({ ...call.params, name: `tool_${i}`, cost: i / 8 })),
}
const long = { content: 'a line of plain text, as files hold it; '.repeat(25_000) }

/** The strict reader and the canonical writer beside the engine's own: microseconds for a call, MB/s for large texts. */
export const json: Part = async ({ quick }) => {
  const figures: { [name: string]: Figures[string] } = {}
  for (const [name, value] of Object.entries({ call, listed, long })) {
    const text = JSON.stringify(value)
    const bytes = Buffer.from(text)
    const steps = Math.ceil((quick ? 2_000_000 : 20_000_000) / (bytes.length + 200))
    const ways = {
      parse: () => JSON.parse(text),
      parse_strict: () => parseIJson(bytes),
      stringify: () => JSON.stringify(value),
      canonical: () => canonical(value),
    }
    for (const [way, run] of Object.entries(ways)) {
      const us = each(steps, run)
      const isCall = name === 'call'
      figures[`json_${name}_${way}_${isCall ? 'us' : 'mb_per_s'}`] = short(isCall ? us : bytes.length / us)
    }
  }
  return figures
}

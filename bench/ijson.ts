import { canonical } from '../src/lib/jcs.ts'
import { parseIJson } from '../src/lib/ijson.ts'

/** Prints the strict reader and the canonical writer beside the engine's own. Numbers to look at, never to assert. */
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

for (const [name, value] of Object.entries({ call, listed, long })) {
  const text = JSON.stringify(value)
  const bytes = Buffer.from(text)
  console.log(`${name}: ${bytes.length} bytes`)
  const runs = Math.ceil(30_000_000 / (bytes.length + 200))
  time('  JSON.parse', runs, bytes.length, () => JSON.parse(text))
  time('  parseIJson(text)', runs, bytes.length, () => parseIJson(text))
  time('  parseIJson(bytes)', runs, bytes.length, () => parseIJson(bytes))
  time('  JSON.stringify', runs, bytes.length, () => JSON.stringify(value))
  time('  canonical', runs, bytes.length, () => canonical(value))
}

function time(name: string, runs: number, size: number, run: () => unknown): void {
  for (let i = 0; i < runs / 4; i++) run()
  const start = performance.now()
  for (let i = 0; i < runs; i++) run()
  const each = (performance.now() - start) / runs
  console.log(
    `${name.padEnd(22)} ${(each * 1000).toFixed(2).padStart(10)} µs ${(size / each / 1000).toFixed(0).padStart(7)} MB/s`,
  )
}

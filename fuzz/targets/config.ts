import { configSchema } from '../../src/config/schema.ts'
import { findAll, namesIn } from '../twice.ts'
import { isDeepStrictEqual } from 'node:util'
import { join } from 'node:path'
import { loadConfig } from '../../src/config/load.ts'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { bytes, hold, text, type Input, type Target } from '../target.ts'

/** Configuration files: whatever is in them, either a configuration or words with a place. */
export async function open(): Promise<Target> {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-fuzz-'))
  const file = join(folder, 'countersign.jsonc')
  const root = join(import.meta.dirname, '../..')
  return {
    atOnce: 1,
    json: true,
    words,
    seeds: [
      readFileSync(join(root, 'examples/quickstart/countersign.jsonc')),
      ...seeds.map((seed) => bytes(seed)),
    ],
    run: (input) => run(file, input),
    async close() {
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function run(file: string, input: Input): void {
  writeFileSync(file, input)
  const words = text(input)
  try {
    const { config } = loadConfig(file)
    hold(findAll(words).length === 0, 'no key stands twice in a configuration that is taken')
    hold(!namesIn(words).includes('__proto__'), 'no key of a configuration sets a prototype')
    const again = configSchema.safeParse(JSON.parse(JSON.stringify(config)))
    hold(
      again.success && isDeepStrictEqual(plain(again.data), plain(config)),
      'a configuration that is taken is one',
    )
  } catch (fault) {
    if (!(fault instanceof Error) || fault.name !== 'ConfigError') throw fault
    checkPlaces(fault.message, words)
  }
}

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

function checkPlaces(message: string, words: string): void {
  const lines = words.split('\n')
  for (const [, line = '0', column = '0'] of message.matchAll(/^ {2}line (\d+), column (\d+): /gm)) {
    const found = lines[Number(line) - 1]
    hold(
      found !== undefined && Number(column) <= found.length + 1,
      'a problem has a place in the file',
      () => message,
    )
  }
  hold(message.length < 40_000, 'problems stay short')
}

const words = ['home', 'operator', 'servers', 'agents', 'listen', 'policy', 'issuers', 'purposes', 'approvals', 'audit', 'labels', 'store', 'observe', 'command', 'args', 'url', 'headers', 'env', 'secret:a', '${secret:a}', 'limits', 'callMs', 'task', 'tools', 'budget', 'effects', 'calls', 'lifetimeMinutes', 'starter', 'guarded', 'allowedHosts', '// x\n', '/* x */', '__proto__', 'a__b', 'a_', 'http://127.0.0.1:1/mcp', 'https://a.example/mcp', 'postgres://u:p@h/d', '127.0.0.1:0', '[::1]:0', '\ufeff', 'jwks', 'algorithms', 'RS256'] // prettier-ignore

const seeds = [
  '{ "servers": { "files": { "command": "npx", "args": ["x", "/srv"], "env": { "A": "secret:a" } }, "web": { "url": "https://a.example/mcp", "headers": { "Authorization": "Bearer ${secret:a}" } } }, "agents": { "coder": { "task": { "budget": { "calls": 5, "effects": { "write": 1 } } } } } }',
  '{ "issuers": [{ "issuer": "https://i.example", "audience": "a", "jwks": "keys.json", "agents": ["coder"] }], "listen": { "agents": "127.0.0.1:0", "allowedHosts": ["a.example"] }, "approvals": { "minutes": 5 }, "labels": { "clearance": "internal" } }',
  '// comment\n{\n  "home": "x", // y\n  "policy": { "starter": "guarded", },\n}\n',
  '{ "servers": { "a": { "__proto__": { "command": "x" } } } }',
  '{}', '', '[]', 'null',
] // prettier-ignore

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { piecesOf } from '../../src/adopt/suspect.ts'
import type { Piece } from '../../src/adopt/suspect.ts'
import { tokens } from './world.ts'

const secret = (value: string): Piece => ({ secret: value })

const cases: readonly (readonly [string, string | null, string, readonly Piece[]])[] = [
  ['named a token', 'GITHUB_TOKEN', 'abc123', [secret('abc123')]],
  ['named in camel case', 'apiKey', 'abc123', [secret('abc123')]],
  ['a flag that names it', '--api-key', 'abc123', [secret('abc123')]],
  ['a known form under any name', 'X', tokens.github, [secret(tokens.github)]],
  ['a known form inside a text', 'HEADERS', `{"Authorization": "Bearer ${tokens.notion}"}`, ['{"Authorization": "Bearer ', secret(tokens.notion), '"}']],
  ['random enough to be one', 'ACCOUNT', tokens.plain, [secret(tokens.plain)]],
  ['a bearer header', 'Authorization', 'Bearer hunter2x', ['Bearer ', secret('hunter2x')]],
  ['a password in an address', null, 'postgresql://app:p%40ss@db:5432/x', ['postgresql://app:', secret('p%40ss'), '@db:5432/x']],
  ['a password without a user', null, 'redis://:pass1@host/0', ['redis://:', secret('pass1'), '@host/0']],
  ['a key in a query', null, 'https://x.test/mcp?a=1&api_key=k123&b=2', ['https://x.test/mcp?a=1&api_key=', secret('k123'), '&b=2']],
  ['a key in a path', null, `https://x.test/s/${tokens.plain}/mcp`, ['https://x.test/s/', secret(tokens.plain), '/mcp']],
  ['a connection string', 'DB', 'Server=x;User=a;Password=b;', [secret('Server=x;User=a;Password=b;')]],
  ['a level', 'LOG_LEVEL', 'debug', ['debug']],
  ['a switch that speaks of tokens', 'USE_TOKEN', 'true', ['true']],
  ['a limit of tokens', 'MAX_TOKENS', '4096', ['4096']],
  ['a path to credentials', 'GOOGLE_APPLICATION_CREDENTIALS', '/home/owner/key.json', ['/home/owner/key.json']],
  ['an address about tokens', 'TOKEN_URL', 'https://x.test/token', ['https://x.test/token']],
  ['a package', null, '@modelcontextprotocol/server-filesystem@2025.8.21', ['@modelcontextprotocol/server-filesystem@2025.8.21']],
  ['a file', null, '/home/owner/Projects/one-two-3/index-2024.js', ['/home/owner/Projects/one-two-3/index-2024.js']],
  ['a uuid', 'WORKSPACE_ID', '0b8f1c52-6f0a-4b59-8a43-0d8b41ce80e6', ['0b8f1c52-6f0a-4b59-8a43-0d8b41ce80e6']],
  ['an image with a version', null, 'registry.example.test/mcp/thing:1.2.3-alpine', ['registry.example.test/mcp/thing:1.2.3-alpine']],
] // prettier-ignore

for (const [what, name, value, pieces] of cases) {
  test(`${what}: ${pieces.some((piece) => typeof piece !== 'string') ? 'moves' : 'stays'}`, () => {
    assert.deepEqual(piecesOf(name, value), pieces)
  })
}

import fc from 'fast-check'
import { checkHeaders, checkNotification, checkParams } from '../../src/door/mcp/headers.ts'
import { classify } from '../../src/door/mcp/era.ts'
import { encode, mirrorHeaders, mirroredArguments } from '../../src/server/mirror.ts'
import { isJsonObject, valueAt, type Json, type JsonObject } from '../../src/lib/json.ts'
import { keys } from '../../src/door/mcp/protocol.ts'
import { parseIJson } from '../../src/lib/ijson.ts'
import { readMessage } from '../../src/door/mcp/message.ts'
import { readTarget } from '../../src/door/mcp/target.ts'
import { bytes, hold, type Input, type Target } from '../target.ts'

/**
 * The mirrored headers against the body: `{"headers": {…}, "body": …, "schema": …}`. Something in between decides on the
 * headers while we decide on the body, so what is let through must say the same in both.
 */
export async function open(): Promise<Target> {
  return {
    atOnce: 1,
    json: true,
    words,
    seeds: seeds.map((seed) => bytes(JSON.stringify(seed))),
    fresh: grammar().map((made) => bytes(JSON.stringify(made))),
    run,
  }
}

type Read = {
  readonly header: (name: string) => string | null
  readonly body: Uint8Array
  readonly schema: JsonObject | null
}

function readInput(input: Input): Read | null {
  const parsed = parseIJson(input)
  if (!parsed.ok || !isJsonObject(parsed.value)) return null
  const { headers, body, schema } = parsed.value
  if (!isJsonObject(headers)) return null
  const given = new Map<string, string>()
  for (const [name, value] of Object.entries(headers))
    // What `node:http` would have refused does not arrive here.
    if (typeof value === 'string' && /^[\t\x20-\x7e\x80-\xff]*$/.test(value))
      given.set(name.toLowerCase(), value)
  return {
    header: (name) => given.get(name) ?? null,
    body: bytes(typeof body === 'string' ? body : JSON.stringify(body ?? null)),
    schema: isJsonObject(schema) ? schema : null,
  }
}

function run(input: Input): void {
  const given = readInput(input)
  const read = given === null ? null : readMessage(given.body)
  if (given === null || read === null || !read.ok || read.message.kind === 'response') return
  const { message } = read
  const { header } = given
  const classified = classify(message, header)
  const named = header('mcp-protocol-version')?.replace(/^[ \t]+|[ \t]+$/g, '') ?? null
  if (classified.era === 'legacy')
    return hold(
      named === null || named < '2026-07-28',
      'a header of the new revision is never served by the old rules',
    )
  if (classified.era !== 'modern') return
  const rejection =
    message.kind === 'request' ? checkHeaders(message, header) : checkNotification(message, header)
  if (rejection !== null) return
  const seen = intermediary(header)
  const method = header('mcp-method')
  if (method !== null) hold(seen.method === message.method, 'the header names the method of the body')
  if (message.kind !== 'request') return
  const meta = message.params?.['_meta']
  const version = isJsonObject(meta) ? meta[keys.version] : undefined
  hold(seen.version === version, 'the header names the revision of the body')
  const source = message.method === 'resources/read' ? 'uri' : 'name'
  const value = message.params?.[source]
  const mirrors = ['tools/call', 'prompts/get', 'resources/read'].includes(message.method)
  if (mirrors && typeof value === 'string')
    hold(seen.name === value, 'the header names what the body names', () =>
      JSON.stringify([seen.name, value]),
    )
  if (message.method === 'tools/call') {
    readTarget({ kind: 'all' }, 'tools/call', message.params ?? {})
    const args = message.params?.['arguments']
    if (given.schema !== null && isJsonObject(args)) params(given.schema, args, header)
  }
}

/** What a gateway in between reads: its own few lines, by the letter of the revision. */
function intermediary(header: Read['header']): {
  version: string | null
  method: string | null
  name: string | null
} {
  const value = (name: string): string | null => header(name)?.trim() ?? null
  return {
    version: value('mcp-protocol-version'),
    method: value('mcp-method'),
    name: decoded(value('mcp-name')),
  }
}

function decoded(value: string | null): string | null {
  const inner = /^=\?base64\?([^]*)\?=$/.exec(value ?? '')?.[1]
  return inner === undefined ? value : Buffer.from(inner, 'base64').toString('utf8')
}

function params(schema: JsonObject, args: JsonObject, header: Read['header']): void {
  const mirrored = mirroredArguments(schema)
  if (mirrored === null) return
  const sent = mirrorHeaders(
    'tools/call',
    { name: 'a', arguments: args },
    { schema, mirrors: mirroredArguments },
  )
  // What we write upstream is what we would accept ourselves.
  const own = new Map(Object.entries(sent).map(([name, value]) => [name.toLowerCase(), value]))
  hold(
    checkParams({ schema, mirrors: mirroredArguments }, args, (name) => own.get(name) ?? null) === null,
    'headers of our own making are sound',
  )
  for (const value of own.values()) hold(/^[\t\x20-\x7e]*$/.test(value), 'a header of ours is plain text')
  if (checkParams({ schema, mirrors: mirroredArguments }, args, header) !== null) return
  for (const { path, name } of mirrored) {
    const value: Json | undefined = valueAt(args, path)
    const shown = decoded(header(`mcp-param-${name.toLowerCase()}`)?.trim() ?? null)
    const repeats = typeof value === 'string' || typeof value === 'boolean' || Number.isSafeInteger(value)
    hold(repeats || shown === null, 'a header that repeats an argument has one to repeat', () =>
      JSON.stringify([shown, value]),
    )
    if (!repeats) continue
    const same = shown === String(value) || (typeof value === 'number' && Number(shown) === value)
    hold(same, 'a mirrored argument says the same in its header', () => JSON.stringify([shown, value]))
  }
}

const words = ['mcp-method', 'mcp-name', 'mcp-protocol-version', 'mcp-param-region', 'Mcp-Param-A', '2026-07-28', '2025-11-25', '2026-07-29', '9999', keys.version, keys.capabilities, keys.client, 'tools/call', 'tools/list', 'resources/read', 'prompts/get', 'server/discover', 'initialize', 'notifications/cancelled', '_meta', 'params', 'method', 'name', 'uri', 'arguments', 'jsonrpc', '2.0', 'x-mcp-header', 'Region', 'properties', 'type', 'string', 'integer', 'boolean', '=?base64?', '?=', '=?base64?w6k=?=', '=?base64?YQ?=', ' a ', '\\u00e9', '42.0', '042', '4.2e1', 'true'] // prettier-ignore

const meta = { [keys.version]: '2026-07-28', [keys.capabilities]: {} }
const schema = { type: 'object', properties: { region: { type: 'string', 'x-mcp-header': 'Region' }, deep: { type: 'object', properties: { n: { type: 'integer', 'x-mcp-header': 'N' } } }, on: { type: 'boolean', 'x-mcp-header': 'On' } } } // prettier-ignore

const seeds: readonly Json[] = [
  { headers: { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': 'files__read', 'mcp-param-region': 'eu', 'mcp-param-n': '42', 'mcp-param-on': 'true' }, body: { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'files__read', arguments: { region: 'eu', deep: { n: 42 }, on: true }, _meta: meta } }, schema },
  { headers: { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'resources/read', 'mcp-name': encode('file:///é') }, body: { jsonrpc: '2.0', id: 'a', method: 'resources/read', params: { uri: 'file:///é', _meta: meta } } },
  { headers: { 'mcp-protocol-version': '2025-11-25' }, body: { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'a' } } },
  { headers: { 'mcp-method': 'notifications/cancelled', 'mcp-protocol-version': '2026-07-28' }, body: { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } } },
  { headers: {}, body: { jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'a', version: '1' } } } },
  { headers: { 'mcp-protocol-version': '2026-07-28' }, body: '{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call"}' },
] // prettier-ignore

/** Calls whose headers repeat the body truly, nearly, or not at all. */
function grammar(): fc.Arbitrary<Json> {
  const name = fc.oneof(fc.constantFrom('a', 'files__read', ' a', 'é', '=?base64?YQ==?=', '=?base64??='), fc.string({ maxLength: 4 }))
  const shown = fc.constantFrom((text: string) => text, encode, (text: string) => ` ${text}\t`, (text: string) => `=?base64?${Buffer.from(text).toString('base64')}?=`, (text: string) => text.toUpperCase(), () => 'a')
  const version = fc.constantFrom('2026-07-28', '2025-11-25', ' 2026-07-28', '2026-07-28 ')
  return fc.record({ name, shown, version, method: fc.constantFrom('tools/call', 'prompts/get', 'tools/list'), region: name, number: fc.oneof(fc.integer(), fc.constantFrom(1e21, -0, 0.5)) }).map((of) => ({
    headers: { 'mcp-protocol-version': of.version, 'mcp-method': of.method, 'mcp-name': of.shown(of.name), 'mcp-param-region': of.shown(of.region), 'mcp-param-n': String(of.number), 'mcp-param-on': 'true' },
    body: { jsonrpc: '2.0', id: 1, method: of.method, params: { name: of.name, arguments: { region: of.region, deep: { n: of.number }, on: true }, _meta: meta } },
    schema,
  }))
} // prettier-ignore

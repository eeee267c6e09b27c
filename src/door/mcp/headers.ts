import { codes, keys, type Rejection } from './protocol.ts'
import { valueAt, type JsonObject } from '../../lib/json.ts'
import { metaOf, type Message } from './message.ts'
import { primitive, type Mirrors } from '../../server/mirror.ts'

type HeaderOf = (name: string) => string | null

const sources: { readonly [method: string]: 'name' | 'uri' } = {
  'tools/call': 'name',
  'prompts/get': 'name',
  'resources/read': 'uri',
}

/**
 * The mirrored headers of one modern request (MCP 2026-07-28, streamable HTTP). Something in between may have decided
 * on the headers while we decide on the body: they must say the same. Null when they do.
 */
export function checkHeaders(
  message: Extract<Message, { kind: 'request' }>,
  header: HeaderOf,
): Rejection | null {
  const version = metaOf(message.params)?.[keys.version]
  if (header('mcp-protocol-version') === null)
    return mismatch(
      `expected the header \`MCP-Protocol-Version: ${typeof version === 'string' ? version : ''}\`; it is absent`,
    )
  const method = header('mcp-method')
  if (method === null) return mismatch(`expected the header \`Mcp-Method: ${message.method}\`; it is absent`)
  if (trim(method) !== message.method) return mismatch('`Mcp-Method` and the method in the body differ')
  const source = Object.hasOwn(sources, message.method) ? sources[message.method] : undefined
  if (source === undefined) return null
  const value = message.params?.[source]
  const given = header('mcp-name')
  if (given === null)
    return typeof value === 'string'
      ? mismatch(`expected the header \`Mcp-Name\` to repeat \`params.${source}\`; it is absent`)
      : null
  const decoded = decode(trim(given))
  if (decoded === null) return mismatch('`Mcp-Name` is not valid Base64 of UTF-8 within `=?base64?` and `?=`')
  return typeof value === 'string' && decoded !== value
    ? mismatch(`\`Mcp-Name\` and \`params.${source}\` differ`)
    : null
}

/** For notifications the header is optional; when it is there it must be true. */
export function checkNotification(
  message: Extract<Message, { kind: 'notification' }>,
  header: HeaderOf,
): Rejection | null {
  const method = header('mcp-method')
  return method === null || trim(method) === message.method
    ? null
    : mismatch('`Mcp-Method` and the method in the body differ')
}

/** `Mcp-Param-*` of a tool whose reviewed schema mirrors arguments. Null when all is well. */
export function checkParams(
  { schema, mirrors }: { readonly schema: JsonObject; readonly mirrors: Mirrors },
  args: JsonObject,
  header: HeaderOf,
): Rejection | null {
  for (const { path, name } of mirrors(schema) ?? []) {
    const value = valueAt(args, path)
    const text = primitive(value)
    const shown = `Mcp-Param-${name}`
    const given = header(shown.toLowerCase())
    if (text === null && given === null) continue
    // A gateway may have decided by a value that the server will never see.
    if (text === null)
      return mismatch(`\`${shown}\` is there, but the argument \`${path.join('.')}\` that it repeats is not`)
    if (given === null)
      return mismatch(
        `expected the header \`${shown}\` to repeat the argument \`${path.join('.')}\`; it is absent`,
      )
    const decoded = decode(trim(given))
    if (decoded === null)
      return mismatch(`\`${shown}\` is not valid Base64 of UTF-8 within \`=?base64?\` and \`?=\``)
    // `42.0` and `42` are the same number.
    const same =
      decoded === text ||
      (typeof value === 'number' && /^-?\d+(\.\d+)?$/.test(decoded) && Number(decoded) === value)
    if (!same) return mismatch(`\`${shown}\` and the argument \`${path.join('.')}\` differ`)
  }
  return null
}

const mismatch = (message: string): Rejection => ({ status: 400, code: codes.headers, message })

const trim = (value: string): string => value.replace(/^[ \t]+|[ \t]+$/g, '')

const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

/** A header value with its Base64 sentinel taken off; null when what is inside is not canonical. */
function decode(value: string): string | null {
  if (!value.startsWith('=?base64?') || !value.endsWith('?=')) return value
  const inner = value.slice('=?base64?'.length, -'?='.length)
  if (!base64.test(inner)) return null
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(inner, 'base64'))
  } catch {
    return null
  }
}

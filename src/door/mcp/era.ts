import { codes, isModern, keys, modernVersions, type Rejection } from './protocol.ts'
import { isJsonObject, type JsonObject } from '../../lib/json.ts'
import { metaOf, type Message } from './message.ts'

/** Which revision a message is in. The body decides; the header is compared with it. */
export type Classified =
  | { readonly era: 'modern'; readonly capabilities: JsonObject }
  | { readonly era: 'legacy' }
  | { readonly era: 'none'; readonly rejection: Rejection }

/**
 * MCP 2026-07-28, versioning: a message is modern when its `_meta` names a protocol version, and a malformed claim is
 * an error, never a silent fall back to the older rules.
 */
export function classify(message: Message, header: (name: string) => string | null): Classified {
  if (message.kind === 'response') return { era: 'legacy' }
  const named = trim(header('mcp-protocol-version'))
  const meta = metaOf(message.params)
  const claims = meta !== null && keys.version in meta
  if (!claims) return unclaimed(message, named)
  return claimed(message, meta, named)
}

function unclaimed(message: Exclude<Message, { kind: 'response' }>, named: string | null): Classified {
  if (named === null || !isModern(named)) return { era: 'legacy' }
  if (message.kind === 'notification') return { era: 'modern', capabilities: {} }
  if (message.method === 'initialize') {
    return mismatch(
      '`initialize` belongs to revisions before 2026-07-28, but `MCP-Protocol-Version` names a later one',
    )
  }
  const meta = metaOf(message.params)
  const missing =
    meta === null ? ['_meta'] : [keys.version, keys.capabilities].filter((key) => !(key in meta))
  return reject(
    400,
    codes.params,
    `expected \`params._meta\` with ${[keys.version, keys.capabilities].map((key) => `\`${key}\``).join(' and ')}`,
    { missing },
  )
}

function claimed(
  message: Exclude<Message, { kind: 'response' }>,
  meta: JsonObject,
  named: string | null,
): Classified {
  const version = meta[keys.version]
  const capabilities = meta[keys.capabilities]
  if (typeof version !== 'string')
    return reject(400, codes.params, `expected \`params._meta["${keys.version}"]\` to be a text`)
  // Legacy revisions named in an envelope: nobody speaks so, but the rules of that revision are known.
  if (message.kind === 'request' && !isJsonObject(capabilities)) {
    return reject(400, codes.params, `expected \`params._meta["${keys.capabilities}"]\` to be an object`, {
      missing: capabilities === undefined ? [keys.capabilities] : [],
    })
  }
  const client = meta[keys.client]
  if (client !== undefined && !isClientInfo(client)) {
    return reject(
      400,
      codes.params,
      `expected \`params._meta["${keys.client}"]\` to be an object with \`name\` and \`version\``,
    )
  }
  if (named !== null && named !== version) {
    return mismatch(
      `\`MCP-Protocol-Version\` names \`${named.slice(0, 40)}\`, but the body names \`${version.slice(0, 40)}\``,
    )
  }
  if (!modernVersions.includes(version)) {
    return reject(400, codes.version, `protocol version \`${version.slice(0, 40)}\` is not spoken here`, {
      supported: modernVersions,
      requested: version.slice(0, 40),
    })
  }
  return { era: 'modern', capabilities: isJsonObject(capabilities) ? capabilities : {} }
}

const isClientInfo = (client: unknown): boolean =>
  isJsonObject(client) && typeof client['name'] === 'string' && typeof client['version'] === 'string'

const reject = (status: number, code: number, message: string, data?: JsonObject): Classified => ({
  era: 'none',
  rejection: { status, code, message, ...(data === undefined ? {} : { data }) },
})

const mismatch = (message: string): Classified => reject(400, codes.headers, message)

/** Optional white space around a field value is no part of it (RFC 9110 section 5.5). */
const trim = (value: string | null): string | null =>
  value === null ? null : value.replace(/^[ \t]+|[ \t]+$/g, '')

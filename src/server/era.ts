import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'
import type { Era } from '../registry/tool.ts'
import type { Takes } from './answer.ts'
import {
  notSent,
  within,
  type Asked,
  type Channel,
  type Headers,
  type NotSent,
  type Patience,
  type Reply,
} from './channel.ts'
import { capabilitiesOf, clientInfo, legacyVersions, metaKeys, modernVersion, withMeta } from './protocol.ts'

/** What was agreed with one server over one connection. All but the era and the version is the server's own word. */
export type Session = {
  readonly era: Era
  readonly protocolVersion: string
  readonly capabilities: JsonObject
  readonly serverInfo: JsonObject
  readonly instructions: string | null
  /** What the server was told of us. */
  readonly shown: Takes
}

export type Introduction = Patience & { readonly headers: Headers; readonly shown: Takes }

/** `legacy` is what a server without `server/discover` is taken for, until `initialize` fails as well. */
export type Verdict =
  { readonly kind: 'modern'; readonly session: Session } | { readonly kind: 'legacy' } | NotSent

/** Longest text for models that is kept of a server. */
const maxInstructions = 64 * 1024

/** MCP 2026-07-28, versioning: ask `server/discover`; only an answer that names our revision proves the modern era. */
export async function discover(
  channel: Channel,
  { headers, shown, ...patience }: Introduction,
): Promise<Verdict> {
  const first = await within(askToDiscover(channel, shown, headers), patience)
  // A refusal that names our revision as one to be taken is taken at its word, once.
  const reply = namesOurs(first) ? await within(askToDiscover(channel, shown, headers), patience) : first
  return verdictOn(reply, shown)
}

const unsupportedVersion = -32022

const namesOurs = (reply: Reply): boolean =>
  reply.kind === 'error' &&
  reply.code === unsupportedVersion &&
  Array.isArray(reply.data?.supported) &&
  reply.data.supported.includes(modernVersion)

export const askToDiscover = (channel: Channel, shown: Takes, headers: Headers): Asked =>
  channel.ask({ method: 'server/discover', params: withMeta({}, 'modern', shown), headers })

export function verdictOn(reply: Reply, shown: Takes): Verdict {
  switch (reply.kind) {
    case 'result': {
      const { supportedVersions, capabilities, instructions, _meta } = reply.result
      const ours = Array.isArray(supportedVersions) && supportedVersions.includes(modernVersion)
      if (!ours) return { kind: 'legacy' }
      const serverInfo = isJsonObject(_meta) ? _meta[metaKeys.server] : undefined
      return {
        kind: 'modern',
        session: {
          era: 'modern',
          protocolVersion: modernVersion,
          capabilities: objectOr(capabilities),
          serverInfo: objectOr(serverInfo),
          instructions: textOr(instructions),
          shown,
        },
      }
    }
    case 'error':
      return { kind: 'legacy' }
    case 'not-sent':
      // A status that refuses an unknown method looks the same as one that refuses us: `initialize` will tell.
      return reply.problem === 'unreachable' ? { kind: 'legacy' } : reply
    case 'unknown':
      return notSent('unreachable', `the server did not introduce itself: ${reply.detail}`)
  }
}

/** The legacy handshake (MCP 2025-11-25, lifecycle). */
export async function initialize(
  channel: Channel,
  { headers, shown, ...patience }: Introduction,
): Promise<Session | NotSent> {
  const params = {
    protocolVersion: legacyVersions[0],
    capabilities: capabilitiesOf(shown.inputs),
    clientInfo,
  }
  const reply = await within(channel.ask({ method: 'initialize', params, headers }), patience)
  if (reply.kind === 'not-sent') return reply
  if (reply.kind !== 'result')
    return notSent('unreachable', `the server did not introduce itself: ${reasonOf(reply)}`)
  const { protocolVersion, capabilities, serverInfo, instructions } = reply.result
  const version = legacyVersions.find((known) => known === protocolVersion)
  if (version === undefined) {
    return notSent(
      'bad-configuration',
      `expected the server to speak MCP ${modernVersion} or ${legacyVersions.join(', ')}`,
    )
  }
  return {
    era: 'legacy',
    protocolVersion: version,
    capabilities: objectOr(capabilities),
    serverInfo: objectOr(serverInfo),
    instructions: textOr(instructions),
    shown,
  }
}

const reasonOf = (reply: Exclude<Reply, { kind: 'result' | 'not-sent' }>): string =>
  reply.kind === 'error' ? `it answered with error ${reply.code}` : reply.detail

const objectOr = (value: Json | undefined): JsonObject => (isJsonObject(value) ? value : {})
const textOr = (value: Json | undefined): string | null =>
  typeof value === 'string' && value !== '' ? value.slice(0, maxInstructions).toWellFormed() : null

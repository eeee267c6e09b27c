import { createHash } from 'node:crypto'
import type { HttpServerConfig, ServerConfig, StdioServerConfig } from '../config/schema.ts'
import type { Lease } from '../credential/lease.ts'
import { notSent, type NotSent } from './channel.ts'

/** Name → value, revealed. */
export type Lent = { readonly values: { readonly [name: string]: string } }

const wholeSecret = /^secret:/
const embeddedSecret = /\$\{secret:/

/** Whether a process or a connection of this server needs anything lent: then nothing of it is ever kept warm. */
export const needsSecrets = (config: ServerConfig): boolean =>
  Object.values('command' in config ? config.env : config.headers).some(isReference)

const isReference = (value: string): boolean => wholeSecret.test(value) || embeddedSecret.test(value)

/**
 * The whole environment of a server's process: what finding programs needs, what is configured, what is lent. The
 * broker's own environment holds other servers' tokens, often the operator's: none of it passes.
 */
export function environmentOf(
  config: StdioServerConfig,
  lease: Lease | null,
  host: { readonly [name: string]: string | undefined },
): Lent | NotSent {
  const environment: { [name: string]: string } = {}
  for (const name of inherited) {
    const value = host[name]
    if (value !== undefined) environment[name] = value
  }
  const lent = lease?.environment ?? {}
  for (const [name, value] of Object.entries(config.env)) {
    if (!isReference(value)) environment[name] = value
    else if (!Object.hasOwn(lent, name)) return missing(name)
  }
  for (const [name, secret] of Object.entries(lent)) environment[name] = secret.reveal()
  return { values: environment }
}

/** Windows starts few programs without the last four. */
const inherited = ['PATH', 'SystemRoot', 'SYSTEMROOT', 'PATHEXT', 'COMSPEC'] as const

/** Header names that this transport writes: set from elsewhere, they could say something else than the body. */
const reserved =
  /^(?:host|content-(?:length|type|encoding)|accept|transfer-encoding|connection|upgrade|te|trailer|expect|mcp-.*)$/i

/** The configured and the lent headers of one request. */
export function headersOf(config: HttpServerConfig, lease: Lease | null): Lent | NotSent {
  const headers: { [name: string]: string } = {}
  const lent = new Map(
    Object.entries(lease?.headers ?? {}).map(([name, secret]) => [name.toLowerCase(), secret]),
  )
  for (const [name, value] of Object.entries(config.headers)) {
    if (reserved.test(name))
      return notSent('bad-configuration', `the header \`${name}\` is written by the transport; take it out`)
    if (!isReference(value)) headers[name.toLowerCase()] = value
    else if (!lent.has(name.toLowerCase())) return missing(name)
  }
  for (const [name, secret] of lent) {
    if (reserved.test(name))
      return notSent('bad-configuration', `the header \`${name}\` is written by the transport; take it out`)
    headers[name] = secret.reveal()
  }
  return { values: headers }
}

const missing = (name: string): NotSent =>
  notSent('bad-configuration', `nothing was lent for \`${name}\`; set the secret that it names`)

/** Tells one set of lent values from another without keeping them. */
export const fingerprintOf = (values: { readonly [name: string]: string }): string =>
  createHash('sha256')
    .update(JSON.stringify(Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1))))
    .digest('base64')

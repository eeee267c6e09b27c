import { createHash, generateKeyPairSync } from 'node:crypto'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { keepPrivate, PrivateFileError, readPrivate, writePrivate } from './private.ts'
import { isJsonObject } from '../lib/json.ts'

/** A public key as a JWK (RFC 7517), with only the members that its thumbprint covers. */
export type PublicKey = { readonly [name: string]: string }

export type KeyAlgorithm = 'EdDSA' | 'ES256'

/** `jwk` holds the private part: it stays in this process and in its 0600 file. */
export type KeyPair = {
  readonly kid: string
  readonly algorithm: KeyAlgorithm
  readonly publicKey: PublicKey
  readonly jwk: { readonly [name: string]: string }
}

const agentName = /^[a-z0-9](?:[a-z0-9.-]|_(?!_)){0,62}$/

/** A fresh Ed25519 key pair (RFC 8037). */
export function createKey(): KeyPair {
  const { privateKey } = generateKeyPairSync('ed25519')
  return keyPair(privateKey.export({ format: 'jwk' }))
}

/** Where an agent's private key lies. Throws for a name that could lead out of the folder. */
export function agentKeyPath(home: string, agent: string): string {
  if (!agentName.test(agent) || agent.endsWith('_')) {
    throw new PrivateFileError(
      `\`${agent}\` is no agent's name`,
      'use 1 to 63 of a-z, 0-9, `-`, `.` and single `_`',
    )
  }
  return join(home, 'agents', `${agent}.jwk`)
}

/** Makes `<home>/agents/NAME.jwk` (0600) and gives its pair. Never replaces a key. */
export async function createAgentKey(home: string, agent: string): Promise<KeyPair> {
  const pair = createKey()
  await writePrivate(agentKeyPath(home, agent), JSON.stringify(pair.jwk), 'exclusive')
  return pair
}

/** Loads an agent's key. Throws `PrivateFileError` with a hint when it is missing, broken or readable by others. */
export async function loadAgentKey(home: string, agent: string): Promise<KeyPair> {
  const path = agentKeyPath(home, agent)
  await access(path).catch(() => {
    const hint = `make one: countersign agent add ${agent}, or pass the right --home`
    throw new PrivateFileError(`there is no key of the agent \`${agent}\` (\`${path}\`)`, hint)
  })
  return readKey(path)
}

/**
 * The broker's own key for access tokens, `token.jwk` in the folder of its keys; made at the first start. It signs tokens
 * and nothing else: one key, one purpose.
 */
export async function loadTokenKey(keys: string): Promise<KeyPair> {
  const path = join(keys, 'token.jwk')
  return parseKey(path, await keepPrivate(path, () => JSON.stringify(createKey().jwk)))
}

const readKey = async (path: string): Promise<KeyPair> => parseKey(path, await readPrivate(path))

function parseKey(path: string, text: string): KeyPair {
  try {
    return keyPair(JSON.parse(text))
  } catch {
    // The parser's message could quote the key.
    throw new PrivateFileError(
      `\`${path}\` is not a private key as a JWK`,
      'make a new one: countersign agent add, or agent rotate',
    )
  }
}

/** The members of a public key that count (RFC 7638 section 3.2), or null when it is neither Ed25519 nor P-256. */
export function publicKeyOf(jwk: unknown): PublicKey | null {
  if (!isJsonObject(jwk)) return null
  const { kty, crv, x, y } = jwk
  if (typeof x !== 'string' || !coordinate.test(x)) return null
  if (kty === 'OKP' && crv === 'Ed25519') return { crv, kty, x }
  if (kty === 'EC' && crv === 'P-256' && typeof y === 'string' && coordinate.test(y))
    return { crv, kty, x, y }
  return null
}

/** 32 bytes in base64url. */
const coordinate = /^[A-Za-z0-9_-]{43}$/

export const algorithmOf = (key: PublicKey): KeyAlgorithm => (key['kty'] === 'OKP' ? 'EdDSA' : 'ES256')

/** JWK thumbprint (RFC 7638), SHA-256 in base64url. `publicKeyOf` gives the members in the order that it needs. */
export const thumbprint = (key: PublicKey): string =>
  createHash('sha256').update(JSON.stringify(key)).digest('base64url')

function keyPair(value: unknown): KeyPair {
  const publicKey = publicKeyOf(value)
  if (publicKey === null || !isJsonObject(value) || typeof value['d'] !== 'string') {
    throw new TypeError('expected a private Ed25519 or P-256 key as a JWK')
  }
  const jwk = { ...publicKey, d: value['d'] }
  return { kid: thumbprint(publicKey), algorithm: algorithmOf(publicKey), publicKey, jwk }
}

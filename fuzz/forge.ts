import {
  createHmac,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
  type KeyObject,
} from 'node:crypto'
import { isJsonObject, type Json, type JsonObject } from '../src/lib/json.ts'

/** Keys by the name that an input calls them: ours, an agent's, two of another issuer, one that nobody knows. */
export type Ring = {
  readonly [name: string]: { readonly alg: string; readonly kid: string; readonly key: KeyObject }
}

export function createRing(own: { readonly kid: string; readonly jwk: object }, agent: typeof own): Ring {
  const ed25519 = (kid: string, jwk: object) => ({
    alg: 'EdDSA',
    kid,
    key: createPrivateKey({ key: { ...jwk }, format: 'jwk' }),
  })
  return {
    own: ed25519(own.kid, own.jwk),
    agent: ed25519(agent.kid, agent.jwk),
    issuer: {
      alg: 'ES256',
      kid: 'issuer-1',
      key: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
    },
    rsa: {
      alg: 'RS256',
      kid: 'issuer-2',
      key: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
    },
    stranger: { alg: 'EdDSA', kid: 'stranger', key: generateKeyPairSync('ed25519').privateKey },
  }
}

/** Public parts, as a key set has them. */
export const publicJwk = ({ alg, kid, key }: Ring[string]): JsonObject => ({
  ...JSON.parse(JSON.stringify(createPublicKey(key).export({ format: 'jwk' }))),
  alg,
  kid,
})

/** A token that was put together by an attacker who may hold any of the keys: `{"key", "header", "payload", "hmac"}`. */
export type Forged = {
  readonly token: string
  readonly header: JsonObject
  readonly payload: JsonObject
  /** Which key really signed it; null for none that counts. */
  readonly by: string | null
}

export function forge(ring: Ring, order: JsonObject): Forged | null {
  const header = part(order['header'])
  const payload = part(order['payload'])
  if (header === null || payload === null) return null
  const body = `${encode(header.text)}.${encode(payload.text)}`
  const name = typeof order['key'] === 'string' ? order['key'] : ''
  const signer = Object.hasOwn(ring, name) ? ring[name] : undefined
  const made = signer === undefined ? mac(ring, order['hmac'], body) : signed(signer, body)
  const token = typeof order['tail'] === 'string' ? `${body}.${made}${order['tail']}` : `${body}.${made}`
  const whole = order['tail'] === undefined || order['tail'] === ''
  return {
    token,
    header: header.value,
    payload: payload.value,
    by: signer === undefined || !whole ? null : name,
  }
}

/** A text is taken as it is: names that stand twice must reach the reader. */
function part(given: Json | undefined): { readonly text: string; readonly value: JsonObject } | null {
  const text = typeof given === 'string' ? given : JSON.stringify(given ?? null)
  try {
    const value: unknown = JSON.parse(text)
    return isJsonObject(value) ? { text, value: JSON.parse(text) } : null
  } catch {
    return null
  }
}

const encode = (text: string): string => Buffer.from(text).toString('base64url')

const signed = ({ alg, key }: Ring[string], body: string): string => {
  const bytes = Buffer.from(body)
  if (alg === 'EdDSA') return sign(null, bytes, key).toString('base64url')
  const how = alg === 'ES256' ? { key, dsaEncoding: 'ieee-p1363' as const } : { key }
  return sign('sha256', bytes, how).toString('base64url')
}

/** The oldest trick: a public key taken for a shared secret, in each form that a library might take one. */
function mac(ring: Ring, given: Json | undefined, body: string): string {
  const [name = '', form = ''] = typeof given === 'string' ? given.split(':') : []
  const signer = Object.hasOwn(ring, name) ? ring[name] : undefined
  if (signer === undefined) return ''
  const key = createPublicKey(signer.key)
  const jwk = JSON.parse(JSON.stringify(key.export({ format: 'jwk' })))
  const secret =
    form === 'pem' ? key.export({ format: 'pem', type: 'spki' }) : form === 'jwk' ? JSON.stringify(jwk) : Buffer.from(String(jwk.x ?? jwk.n), 'base64url') // prettier-ignore
  return createHmac('sha256', secret).update(body).digest('base64url')
}

import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

/**
 * Sealed values: AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce. Layout: version (1), nonce (12), text, tag (16).
 * The name is authenticated with the text: who can write the store but has no key could otherwise swap two rows and
 * have a server sent the secret of another.
 */
const version = 1
const nonceBytes = 12
const tagBytes = 16

export type Unsealed =
  { readonly ok: true; readonly bytes: Uint8Array } | { readonly ok: false; readonly detail: string }

/** Seals `bytes` so that only this key under this very name opens them. */
export function sealValue(key: KeyObject, name: string, bytes: Uint8Array): Uint8Array {
  const nonce = randomBytes(nonceBytes)
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  cipher.setAAD(bound(name))
  const text = Buffer.concat([cipher.update(bytes), cipher.final()])
  return new Uint8Array(Buffer.concat([Buffer.of(version), nonce, text, cipher.getAuthTag()]))
}

/** Opens what `sealValue` made. Says what is wrong without telling anything of the content. */
export function unsealValue(key: KeyObject, name: string, sealed: Uint8Array): Unsealed {
  if (sealed.length < 1 + nonceBytes + tagBytes) return { ok: false, detail: 'the sealed value is cut short' }
  if (sealed[0] !== version) {
    return { ok: false, detail: `expected sealed values of version ${version}; this one is newer or damaged` }
  }
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(1, 1 + nonceBytes), {
    authTagLength: tagBytes,
  })
  decipher.setAAD(bound(name))
  decipher.setAuthTag(sealed.subarray(sealed.length - tagBytes))
  try {
    const text = decipher.update(sealed.subarray(1 + nonceBytes, sealed.length - tagBytes))
    return { ok: true, bytes: new Uint8Array(Buffer.concat([text, decipher.final()])) }
  } catch {
    return { ok: false, detail: 'it was sealed under another key or name, or was changed since' }
  }
}

const bound = (name: string): Buffer => Buffer.from(`countersign sealed value ${version}\n${name}`, 'utf8')

import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { sha256 } from './hash.ts'

/**
 * Signed notes (C2SP signed-note v1.0.0): a text, a blank line, and lines `— <name> base64(key id ‖ signature)`.
 * Ed25519 only, type byte 0x01; other signatures are carried along and not judged.
 */
const ed25519 = 0x01
const idSize = 4
const maxNote = 1024 * 1024
const maxSignatures = 100

/** A key that notes are checked with. `id` is 8 hexadecimal digits. */
export type NoteKey = { readonly name: string; readonly id: string; readonly key: KeyObject }

export type NoteSigner = {
  readonly name: string
  readonly id: string
  readonly vkey: string
  readonly sign: (text: string) => Uint8Array
}

export type Signature = { readonly name: string; readonly id: string; readonly bytes: Uint8Array }

/** `text` with its final newline, as signed. */
export type Note = { readonly text: string; readonly signatures: readonly Signature[] }

export const isKeyName = (name: string): boolean =>
  name !== '' && name.isWellFormed() && !/[\s+\p{C}]/u.test(name)

/** First four bytes of SHA-256(name ‖ 0x0A ‖ type ‖ public key), in hexadecimal. */
export function keyId(name: string, publicKey: Uint8Array): string {
  const input = Buffer.concat([Buffer.from(`${name}\n`), Buffer.of(ed25519), publicKey])
  return Buffer.from(sha256(input).subarray(0, idSize)).toString('hex')
}

const rawPublic = (key: KeyObject): Buffer => Buffer.from(key.export({ format: 'jwk' }).x ?? '', 'base64url')

/** `<name>+<key id>+base64(0x01 ‖ public key)`: what a verifier is given, by another way than the log itself. */
export function vkeyOf(name: string, key: KeyObject): string {
  const raw = rawPublic(key)
  return `${name}+${keyId(name, raw)}+${Buffer.concat([Buffer.of(ed25519), raw]).toString('base64')}`
}

/** Reads a verifier key. Null when it is not one, names another type than Ed25519, or its id does not fit. */
export function parseVkey(vkey: string): NoteKey | null {
  const [, name, id, encoded] = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(vkey) ?? []
  const bytes = encoded === undefined ? null : fromBase64(encoded)
  if (name === undefined || id === undefined || !isKeyName(name)) return null
  if (bytes === null || bytes.length !== 33 || bytes[0] !== ed25519 || keyId(name, bytes.subarray(1)) !== id)
    return null
  const x = bytes.subarray(1).toString('base64url')
  return { name, id, key: createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' }) }
}

/** A signer over a private Ed25519 key. Throws `TypeError` on another key or a name that a note cannot carry. */
export function createSigner(name: string, key: KeyObject): NoteSigner {
  if (!isKeyName(name)) throw new TypeError('expected a key name without spaces, control characters or `+`')
  if (key.type !== 'private' || key.asymmetricKeyType !== 'ed25519')
    throw new TypeError('expected a private Ed25519 key')
  const vkey = vkeyOf(name, key)
  return { name, id: keyId(name, rawPublic(key)), vkey, sign: (text) => sign(null, Buffer.from(text), key) }
}

/** A fresh key for a log, in PKCS #8 PEM: the form that `loadSigningKey` reads. */
export const newSigningKey = (): string =>
  generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()

/** Throws when the text is no private Ed25519 key. */
export function loadSigningKey(pem: string): KeyObject {
  const key = createPrivateKey(pem)
  if (key.asymmetricKeyType !== 'ed25519')
    throw new TypeError('expected a private Ed25519 key in PKCS #8 PEM')
  return key
}

/** Signs a text. Throws `TypeError` when it does not end in a newline or holds what a note must not. */
export function signNote(text: string, signers: readonly NoteSigner[]): string {
  if (!isNoteText(text))
    throw new TypeError('expected text that ends in a newline and holds no control characters')
  const lines = signers.map((signer) => {
    const bytes = Buffer.concat([Buffer.from(signer.id, 'hex'), signer.sign(text)])
    return `\u2014 ${signer.name} ${bytes.toString('base64')}\n`
  })
  return `${text}\n${lines.join('')}`
}

/** Takes a note apart without judging signatures. Null when the form is not exactly that of the specification. */
export function parseNote(note: string): Note | null {
  const blank = note.lastIndexOf('\n\n')
  const text = note.slice(0, blank + 1)
  const tail = note.slice(blank + 2)
  if (blank < 0 || note.length > maxNote || !isNoteText(text) || !tail.endsWith('\n')) return null
  const lines = tail.slice(0, -1).split('\n')
  if (lines.length > maxSignatures) return null
  const signatures: Signature[] = []
  for (const line of lines) {
    const [, name, encoded] = /^\u2014 ([^ ]+) ([^ ]+)$/.exec(line) ?? []
    const bytes = encoded === undefined ? null : fromBase64(encoded)
    if (name === undefined || !isKeyName(name) || bytes === null || bytes.length <= idSize) return null
    signatures.push({ name, id: bytes.subarray(0, idSize).toString('hex'), bytes: bytes.subarray(idSize) })
  }
  return { text, signatures }
}

/**
 * Whether this very key signed the note. A second signature line of the same key that does not verify refuses the
 * note, as the specification advises: nobody honest makes one.
 */
export function isSignedBy(note: Note, key: NoteKey): boolean {
  const own = note.signatures.filter((signature) => signature.name === key.name && signature.id === key.id)
  const text = Buffer.from(note.text)
  return own.length > 0 && own.every((signature) => verify(null, text, key.key, signature.bytes))
}

/** Ends in a newline, and holds no control characters but newlines. */
const isNoteText = (text: string): boolean =>
  text.endsWith('\n') && text.isWellFormed() && !/[^\P{Cc}\n]/u.test(text)

/** Strict: one text for one value, or a changed character could go unnoticed in the unused bits. */
export function fromBase64(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : null
}

import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'
import { canonical } from '../lib/jcs.ts'
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'
import { parseIJson } from '../lib/ijson.ts'

/**
 * What the broker hands out and takes back (`requestState`, cursors) is the agent's to keep and so the attacker's to
 * change: it is sealed with AES-256-GCM. The purpose is authenticated with it, so that a cursor is no request state.
 */
export type Sealer = {
  seal(purpose: string, value: JsonObject): string
  /** Null when it was not sealed here for this purpose, or was changed. */
  open(purpose: string, text: string): JsonObject | null
}

const version = 'v1.'
/** Larger ones are not of our making; upstream state is bounded before it is sealed. */
export const maxStateChars = 96 * 1024

/** `key` is 32 bytes that every node of the broker shares and that survive a restart. */
export function createSealer(key: Uint8Array): Sealer {
  if (key.length !== 32) throw new RangeError(`expected a sealing key of 32 bytes, found ${key.length}`)
  return {
    seal: (purpose, value) => {
      const nonce = randomBytes(12)
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(version + purpose))
      const sealed = Buffer.concat([
        nonce,
        cipher.update(canonical(value), 'utf8'),
        cipher.final(),
        cipher.getAuthTag(),
      ])
      return version + sealed.toString('base64url')
    },
    open: (purpose, text) => {
      if (!text.startsWith(version) || text.length > maxStateChars) return null
      const encoded = text.slice(version.length)
      const sealed = Buffer.from(encoded, 'base64url')
      // Lenient decoding would let one state have many spellings.
      if (sealed.length < 28 || sealed.toString('base64url') !== encoded) return null
      return decrypt(key, purpose, sealed)
    },
  }
}

function decrypt(key: Uint8Array, purpose: string, sealed: Buffer): JsonObject | null {
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12))
    .setAAD(Buffer.from(version + purpose))
    .setAuthTag(sealed.subarray(sealed.length - 16))
  try {
    const plain = Buffer.concat([decipher.update(sealed.subarray(12, sealed.length - 16)), decipher.final()])
    const parsed = parseIJson(plain)
    return parsed.ok && isJsonObject(parsed.value) ? parsed.value : null
  } catch {
    return null
  }
}

/** Digest by which a retry is known to be the same request: `sha256:` + hex over the canonical form. */
export const digestOf = (value: Json): string =>
  `sha256:${createHash('sha256').update(canonical(value)).digest('hex')}`

/** To whom and to what a request state belongs. All of it must be the same on the retry. */
export type Bearings = {
  /** Kind, name and person of the caller. A refreshed token is the same subject. */
  readonly subject: string
  readonly task: string
  /** Digest over endpoint, method, name and arguments. */
  readonly request: string
}

/** A call that waits for a person (`approval`), or a chain whose server asked for more (`input`). */
export type RequestState =
  | {
      readonly kind: 'approval'
      readonly call: string
      readonly chain: string
      /** How many legs were held already. */
      readonly leg: number
      /** The later leg of a chain that waits, as it came: the retry carries only the state. */
      readonly input: {
        readonly requestState: string | null
        readonly inputResponses: JsonObject
        readonly ask: string | null
        readonly round: number
      } | null
    }
  | {
      readonly kind: 'input'
      readonly chain: string
      /** The server's own opaque state. */
      readonly upstream: string | null
      /** The ask that the chain consumed. */
      readonly ask: string | null
      /** What was asked: key → method. Answers to anything else are dropped. */
      readonly asked: JsonObject
      /** How many times the server has asked. */
      readonly round: number
      /** The call id of the next leg. `intend` takes one once: a state that is replayed makes no second call. */
      readonly next: string
    }

const purpose = 'request-state'

/** Seals a state for its bearer until `expiresAt` (milliseconds). */
export const sealState = (
  sealer: Sealer,
  state: RequestState,
  bound: Bearings & { readonly expiresAt: number },
): string => sealer.seal(purpose, { state, bound: { ...bound } })

export type Opened =
  { readonly ok: true; readonly state: RequestState } | { readonly ok: false; readonly problem: string }

/**
 * Opens a state that came back. MCP 2026-07-28 (multi round-trip requests): attacker-controlled, so integrity, bearer,
 * expiry and the original request are compared; single use is `intend`'s, which takes a call id once.
 */
export function openState(sealer: Sealer, text: string, bearings: Bearings, now: number): Opened {
  const opened = sealer.open(purpose, text)
  const bound = opened?.['bound']
  const state = opened?.['state']
  if (!isJsonObject(bound) || !isJsonObject(state)) return no('was not made by this broker, or was changed')
  if (typeof bound['expiresAt'] !== 'number' || now >= bound['expiresAt']) return no('has expired')
  // Alike for both: it tells nobody whose it was.
  if (bound['subject'] !== bearings.subject || bound['task'] !== bearings.task)
    return no('was made for another identity or task')
  if (bound['request'] !== bearings.request)
    return no('was made for another request: method, name or arguments differ')
  const read = readState(state)
  return read === null ? no('was made by another version of this broker') : { ok: true, state: read }
}

const no = (problem: string): Opened => ({
  ok: false,
  problem: `\`requestState\` ${problem}; send the request again without it`,
})

function readState(state: JsonObject): RequestState | null {
  const { kind, call, chain, leg, input, upstream, ask, asked, round, next } = state
  if (typeof chain !== 'string') return null
  if (kind === 'approval' && typeof call === 'string' && typeof leg === 'number') {
    const read = readInput(input)
    return read === undefined ? null : { kind, call, chain, leg, input: read }
  }
  if (
    kind === 'input' &&
    isText(upstream) &&
    isText(ask) &&
    isJsonObject(asked) &&
    typeof round === 'number'
  ) {
    return typeof next === 'string' ? { kind, chain, upstream, ask, asked, round, next } : null
  }
  return null
}

function readInput(
  input: Json | undefined,
): Extract<RequestState, { kind: 'approval' }>['input'] | undefined {
  if (input === null) return null
  if (!isJsonObject(input)) return undefined
  const { requestState, inputResponses, ask, round } = input
  if (!isText(requestState) || !isJsonObject(inputResponses) || !isText(ask) || typeof round !== 'number')
    return undefined
  return { requestState, inputResponses, ask, round }
}

const isText = (value: Json | undefined): value is string | null =>
  value === null || typeof value === 'string'

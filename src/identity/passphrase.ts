import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { z } from 'zod'
import type { JsonObject } from '../lib/json.ts'

/** About 0.3 s and 32 MiB a guess on a laptop: slow for a guesser, bearable for a person. */
const cost = { N: 2 ** 15, r: 8, p: 3 }
const memory = 64 * 1024 * 1024
const shortest = 10
const longest = 1024

const verifierSchema = z.strictObject({
  v: z.literal(1),
  salt: z.string(),
  hash: z.string(),
  N: z
    .number()
    .int()
    .min(2 ** 14)
    .max(2 ** 17),
  r: z.number().int().min(8).max(8),
  p: z.number().int().min(1).max(4),
})

/** Why a passphrase cannot be taken, or null. */
export function passphraseProblem(passphrase: string): string | null {
  const { length } = normal(passphrase)
  if (length < shortest) return `expected at least ${shortest} characters`
  return length > longest ? `expected at most ${longest} characters` : null
}

/** Makes and compares what is kept instead of a passphrase. */
export type Passphrases = {
  verifier(passphrase: string): Promise<JsonObject>
  /** MUST take the same time whatever differs. A verifier that cannot be read MUST match nothing. */
  matches(passphrase: string, verifier: JsonObject): Promise<boolean>
}

/** scrypt (RFC 7914) over the passphrase's NFKC form with a fresh salt. */
export const scryptPassphrases: Passphrases = { verifier: passphraseVerifier, matches: passphraseMatches }

async function passphraseVerifier(passphrase: string): Promise<JsonObject> {
  const salt = randomBytes(16)
  const hash = await derive(passphrase, salt, cost)
  return { v: 1, salt: salt.toString('base64url'), hash: hash.toString('base64url'), ...cost }
}

async function passphraseMatches(passphrase: string, verifier: JsonObject): Promise<boolean> {
  const parsed = verifierSchema.safeParse(verifier)
  if (!parsed.success || passphrase.length > longest * 2) return false
  const { salt, hash, N, r, p } = parsed.data
  const wanted = Buffer.from(hash, 'base64url')
  const found = await derive(passphrase, Buffer.from(salt, 'base64url'), { N, r, p })
  return wanted.length === found.length && timingSafeEqual(wanted, found)
}

/** The same passphrase typed on another keyboard or system gives the same bytes. */
const normal = (passphrase: string): string => passphrase.normalize('NFKC')

function derive(passphrase: string, salt: Buffer, { N, r, p }: typeof cost): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(normal(passphrase), salt, 32, { N, r, p, maxmem: memory + 128 * N * r }, (problem, key) =>
      problem === null ? resolve(key) : reject(problem),
    )
  })
}

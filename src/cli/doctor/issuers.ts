import { bad, ok, said, within, type Check } from './check.ts'
import { isJsonObject } from '../../lib/json.ts'
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Config } from '../../config/schema.ts'

const answerMs = 5000
const largest = 1024 * 1024

/** Keys of the issuers whose tokens are taken. Without them every token of that issuer is refused. */
export const issuers = ({ issuers: all }: Config, base: string): Promise<readonly Check[]> =>
  Promise.all(all.map(({ issuer, jwks }) => keySet(`issuer ${new URL(issuer).host}`, jwks, base)))

async function keySet(what: string, jwks: string, base: string): Promise<Check> {
  const remote = /^https:\/\//i.test(jwks)
  const where = remote ? jwks : resolve(base, jwks)
  try {
    const text = remote ? await within(answerMs, fetched(jwks)) : await readFile(where, 'utf8')
    const value: unknown = JSON.parse(text)
    const keys = isJsonObject(value) && Array.isArray(value['keys']) ? value['keys'].length : 0
    return keys > 0
      ? ok(what, `${keys} ${keys === 1 ? 'key' : 'keys'} at ${where}`)
      : bad(what, `no keys at ${where}`, 'expected a JWK set (RFC 7517): correct `jwks`')
  } catch (problem) {
    const cause: unknown =
      problem instanceof Error && problem.cause instanceof Error ? problem.cause : problem
    return bad(
      what,
      `${where}: ${said(cause)}`,
      'its tokens are refused until its keys can be read: correct `jwks`, or open the way to it',
    )
  }
}

async function fetched(url: string): Promise<string> {
  const response = await fetch(url, { redirect: 'error', signal: AbortSignal.timeout(answerMs) })
  if (!response.ok) throw new Error(`it answers with status ${response.status}`)
  const text = await response.text()
  if (text.length > largest) throw new Error('expected a key set, found more than a megabyte')
  return text
}

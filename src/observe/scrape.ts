import { join } from 'node:path'
import { open } from 'node:fs/promises'
import { PrivateFileError, readPrivate, writePrivate } from '../identity/private.ts'

/** Shorter ones can be guessed. */
const shortest = 16
const mostBytes = 4_096

/**
 * Where the token of scrapers comes from. By default it is derived from the broker's own root, so that it is the same
 * on every node, and lies in `scrape.token` below `home` for a scraper that runs as the same user. A configured file
 * is the operator's own: its permissions are theirs to choose, and it is read again each time, so that it can be
 * changed while the broker runs.
 */
export async function scrapeToken(given: {
  readonly home: string
  readonly tokenFile: string | undefined
  readonly derived: string
}): Promise<() => Promise<string>> {
  const { tokenFile, derived } = given
  if (tokenFile !== undefined) {
    await readToken(tokenFile)
    return () => readToken(tokenFile)
  }
  const path = join(given.home, 'scrape.token')
  const there = await readPrivate(path).catch(() => '')
  if (there.trim() !== derived) await writePrivate(path, `${derived}\n`, 'replace')
  return async () => derived
}

async function readToken(path: string): Promise<string> {
  const file = await open(path, 'r')
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(mostBytes), 0, mostBytes, 0)
    const token = buffer.subarray(0, bytesRead).toString('utf8').trim()
    if (token.length >= shortest && /^[!-~]+$/.test(token)) return token
    throw new PrivateFileError(
      `\`${path}\` holds no token for scrapers`,
      `put at least ${shortest} characters into it: openssl rand -hex 32 > ${path}`,
    )
  } finally {
    await file.close()
  }
}

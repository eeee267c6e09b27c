import { createHash, type KeyObject } from 'node:crypto'
import { deserialize, serialize } from 'node:v8'
import { join } from 'node:path'
import { readdir, readFile, stat } from 'node:fs/promises'
import { sealValue, unsealValue } from '../credential/seal.ts'
import { writePrivate } from '../identity/private.ts'
import type { Checked } from '../policy/check.ts'
import type { CheckRequest, KeptChecks } from '../policy/load.ts'

/**
 * The last sound check of a policy set, kept for the next start in `<home>/policy.checked`. It is sealed with the
 * broker's own key under the digest of all that the check looked at: the texts, the tools, the servers, and the
 * program that checks. Whoever can write the file but has no key can take it away or damage it, and then the set is
 * checked as if there had never been one; what was found about another set, other tools or by another program does
 * not open.
 */
export function keptChecks(home: string, key: KeyObject): KeptChecks {
  const path = join(home, 'policy.checked')
  return {
    async find(request) {
      const sealed = await readBounded(path).catch(() => null)
      if (sealed === null) return null
      const opened = unsealValue(key, await nameOf(request), sealed)
      return opened.ok ? read(opened.bytes) : null
    },
    async keep(request, checked) {
      const sealed = sealValue(key, await nameOf(request), serialize(checked))
      // Without it the next start takes longer, and nothing else is different.
      await writePrivate(path, sealed, 'replace').catch(() => undefined)
    },
  }
}

const largest = 128 * 1024 * 1024

async function readBounded(path: string): Promise<Buffer | null> {
  const { size } = await stat(path)
  return size <= largest ? readFile(path) : null
}

/** Our own writing, as the seal shows; another version of the engine may have another form for it. */
function read(bytes: Uint8Array): Checked | null {
  try {
    return deserialize(bytes) as Checked
  } catch {
    return null
  }
}

async function nameOf({ sources, tools, servers = [] }: CheckRequest): Promise<string> {
  const hash = createHash('sha256')
  const add = (part: unknown): void => void hash.update(`${JSON.stringify(part)}\n`)
  add(await program())
  add(sources.map(({ name, text }) => [name, text]))
  add(servers.toSorted())
  for (const tool of tools.toSorted((a, b) => (a.id < b.id ? -1 : 1))) add(tool)
  return `policy check ${hash.digest('hex')}`
}

const engine = new URL(
  './package.json',
  import.meta.resolve('@cedar-policy/cedar-wasm/nodejs').replace(/nodejs\/[^/]*$/, ''),
)

/** The code that checks, and the engine's version: a mistake that was corrected must not live on in what was kept. */
async function program(): Promise<readonly string[]> {
  const folder = new URL('../policy/', import.meta.url)
  const names = (await readdir(folder)).sort()
  const texts = await Promise.all(names.map((name) => readFile(new URL(name, folder), 'utf8')))
  return [...names, ...texts, await readFile(engine, 'utf8'), process.version]
}

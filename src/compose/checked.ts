import { createHash, type KeyObject } from 'node:crypto'
import { deserialize, serialize } from 'node:v8'
import { join } from 'node:path'
import { readdir, readFile, stat } from 'node:fs/promises'
import { inSlices, type Sliced } from '../lib/slices.ts'
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
  const names = new WeakMap<CheckRequest, Promise<string>>()
  const nameOf = (request: CheckRequest): Promise<string> => {
    const name = names.get(request) ?? program().then((code) => inSlices(naming(request, code)))
    names.set(request, name)
    return name
  }
  return {
    async find(request) {
      try {
        const sealed = await readBounded(path)
        if (sealed === null) return null
        const opened = unsealValue(key, await nameOf(request), sealed)
        // Our own writing, as the seal shows.
        return opened.ok ? (deserialize(opened.bytes) as Checked) : null
      } catch {
        return null
      }
    },
    async keep(request, checked) {
      try {
        await writePrivate(path, sealValue(key, await nameOf(request), serialize(checked)), 'replace')
      } catch {
        // Without it the next start takes longer, and nothing else is different.
      }
    },
  }
}

const largest = 128 * 1024 * 1024

async function readBounded(path: string): Promise<Buffer | null> {
  const { size } = await stat(path)
  return size <= largest ? readFile(path) : null
}

/** In slices: a set is swapped while calls are served, and 10,000 tools are many. */
function* naming({ sources, tools, servers = [] }: CheckRequest, code: readonly string[]): Sliced<string> {
  const hash = createHash('sha256')
  const add = (part: unknown): void => void hash.update(`${JSON.stringify(part)}\n`)
  add(code)
  add(sources.map(({ name, text }) => [name, text]))
  add(servers.toSorted())
  for (const tool of tools.toSorted((a, b) => (a.id < b.id ? -1 : 1))) {
    add(tool)
    yield
  }
  return `policy check ${hash.digest('hex')}`
}

/** The code that checks, and the engine's version: a mistake that was corrected must not live on in what was kept. */
async function program(): Promise<readonly string[]> {
  const folder = new URL('../policy/', import.meta.url)
  const names = (await readdir(folder)).sort()
  const main = import.meta.resolve('@cedar-policy/cedar-wasm/nodejs')
  const engine = new URL('package.json', main.replace(/nodejs\/[^/]*$/, ''))
  const texts = await Promise.all(names.map((name) => readFile(new URL(name, folder), 'utf8')))
  return [...names, ...texts, await readFile(engine, 'utf8'), process.version]
}

import { at, expect, text, type Logged, type Step } from '../step.ts'
import { cp, readdir, readFile, writeFile } from 'node:fs/promises'
import { countersign } from '../command.ts'
import { decodeBundle, parseTilePath, tileWidth } from '../../../src/audit/tiles.ts'
import { join, relative } from 'node:path'
import { kept, words } from './verify.ts'

/** One byte of one entry, in a copy: verification fails, and says which entry it was. */
export const tamperStep: Step = {
  name: 'tamper',
  title: 'One changed byte in a copy of the log',
  async play(scene, tell) {
    const { log, vkey: keyFile } = kept(scene)
    const copy = join(scene.root, 'copy')
    await cp(log, copy, { recursive: true })
    const vkey = await readFile(keyFile, 'utf8')
    const changed = await changeOneByte(copy)

    const { exit, out } = await countersign(words(scene, vkey, copy))
    expect(exit === 5 && out.startsWith('FAILED: '), '`audit verify` to fail with exit code 5', { exit, out })
    const named = `entry ${changed.index} (${text(changed.entry, 'call')}) the entry is not the one that was signed`
    expect(out.includes(named), `it to say that ${named}`, out)
    tell({
      who: 'auditor',
      did: 'Somebody changes one letter of that intent in a copy of the log. `countersign audit verify`:',
      came: out.trimEnd().split('\n'),
      entries: [changed],
    })
  },
}

/** `payment_send` → `payment_sens` in the intent that paid. Every file that holds the entry, or it would be no edit of the log. */
async function changeOneByte(folder: string): Promise<Logged> {
  const before = 'playground/payment_send'
  const found: Logged[] = []
  for (const one of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(one.parentPath, one.name)
    const tile = parseTilePath(relative(folder, path))
    if (!one.isFile() || tile?.level !== 'entries') continue
    const bytes = await readFile(path)
    const { entries } = decodeBundle(bytes)
    const index = entries.findIndex((entry) => isPayment(entry, before))
    if (index === -1) continue
    const entry = entries[index] ?? new Uint8Array()
    const at = bytes.indexOf(entry) + Buffer.from(entry).indexOf(before) + before.length - 1
    bytes[at] = 's'.charCodeAt(0)
    await writeFile(path, bytes)
    found.push({
      index: tile.index * tileWidth + index,
      entry: JSON.parse(Buffer.from(entry).toString('utf8')),
    })
  }
  const [changed] = found
  expect(changed !== undefined, 'the intent of the payment in the published log')
  return changed
}

const isPayment = (entry: Uint8Array, tool: string): boolean => {
  const parsed: unknown = JSON.parse(Buffer.from(entry).toString('utf8'))
  return at(parsed, 'kind') === 'intent' && at(parsed, 'what', 'tool') === tool
}

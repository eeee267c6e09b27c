import assert from 'node:assert/strict'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import * as fc from 'fast-check'
import { decodeBundle } from '../../src/audit/tiles.ts'
import { verifyLog } from '../../src/verify.ts'
import { day, memoryLog } from './samples.ts'
import { publisherOf, scratch } from './scratch.ts'

test('one byte changed anywhere in a copy of the log is found, and the entry named when it is in one', async (t) => {
  const directory = await scratch(t)
  const entries = day(330)
  const log = memoryLog(entries.slice(0, 300))
  const publisher = publisherOf(log, directory)
  await publisher.tick()
  log.add(...entries.slice(300))
  await publisher.tick()
  const files = await filesOf(directory)
  assert.ok(files.includes('tile/entries/001.p/44') && files.includes('tile/entries/001.p/74'))
  const { vkey } = publisher
  assert.equal((await verifyLog({ directory, vkey })).ok, true)

  const change = fc.record({
    file: fc.constantFrom(...files),
    at: fc.nat(),
    mask: fc.integer({ min: 1, max: 255 }),
  })
  await fc.assert(
    fc.asyncProperty(change, async ({ file, at, mask }) => {
      const path = join(directory, file)
      const sound = await readFile(path)
      const place = at % sound.length
      const changed = Buffer.from(sound)
      changed[place] = (changed[place] ?? 0) ^ mask
      await writeFile(path, changed)
      const report = await verifyLog({ directory, vkey })
      await writeFile(path, sound)
      assert.equal(report.ok, false, `${file} at ${place}`)
      const touched = entryAt(file, sound, place)
      if (touched !== null) assert.equal(report.problems[0]?.index, touched)
    }),
    { numRuns: 120 },
  )
})

const filesOf = async (directory: string): Promise<string[]> => {
  const all = await readdir(directory, { recursive: true, withFileTypes: true })
  return all
    .filter((file) => file.isFile())
    .map((file) => join(file.parentPath, file.name).slice(directory.length + 1))
}

/** Which entry holds the byte (or its length does); null outside of the bundles that the checkpoint stands on. */
function entryAt(file: string, bundle: Uint8Array, place: number): number | null {
  const first = { 'tile/entries/000': 0, 'tile/entries/001.p/74': 256 }[file]
  if (first === undefined) return null
  let end = 0
  const found = decodeBundle(bundle).entries.findIndex((entry) => place < (end += 2 + entry.length))
  return first + found
}

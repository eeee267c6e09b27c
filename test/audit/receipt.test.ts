import assert from 'node:assert/strict'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { exportLog } from '../../src/audit/export.ts'
import { makeReceipt, verifyReceipt } from '../../src/audit/receipt.ts'
import { verifyLog } from '../../src/verify.ts'
import { act, day, memoryLog } from './samples.ts'
import { copyOf, publisherOf, scratch } from './scratch.ts'
import type { Receipt } from '../../src/audit/receipt.ts'

async function receiptOf(directory: string, index: number): Promise<Receipt> {
  const made = await makeReceipt({ directory, index })
  return made.ok ? made.receipt : assert.fail(made.detail)
}

test('a receipt proves its entry with nothing but the verifier key', async (t) => {
  const directory = await scratch(t)
  const log = memoryLog(day(700))
  const { vkey, tick } = publisherOf(log, directory)
  await tick()
  for (const index of [0, 255, 256, 300, 511, 512, 699]) {
    const { text, entry } = await receiptOf(directory, index)
    assert.match(text, /^c2sp\.org\/tlog-proof@v1\nextra \S+\nindex \d+\n/)
    const checked = verifyReceipt({ text, vkey })
    assert.ok(checked.ok)
    assert.equal(checked.index, index)
    assert.deepEqual(Buffer.from(checked.entry), Buffer.from(log.rows[index]?.bytes ?? []))
    assert.deepEqual(Buffer.from(entry), Buffer.from(checked.entry))
  }
})

test('a receipt for one entry proves no other one, at no other place, under no other key', async (t) => {
  const directory = await scratch(t)
  const log = memoryLog(day(300))
  const { vkey, tick } = publisherOf(log, directory)
  await tick()
  const { text } = await receiptOf(directory, 42)
  const entry = log.rows[43]?.bytes ?? assert.fail()
  assert.deepEqual(verifyReceipt({ text, vkey, entry }), { ok: false, problem: 'not-included' })
  assert.deepEqual(verifyReceipt({ text: text.replace('index 42', 'index 43'), vkey }), {
    ok: false,
    problem: 'not-included',
  })
  assert.deepEqual(verifyReceipt({ text: text.replace(/\nextra \S+/, ''), vkey }), {
    ok: false,
    problem: 'no-entry',
  })
  const other = publisherOf(memoryLog(), await scratch(t))
  assert.deepEqual(verifyReceipt({ text, vkey: other.vkey }), { ok: false, problem: 'not-signed' })
})

test('no character of a receipt can be changed', async (t) => {
  const directory = await scratch(t)
  const { vkey, tick } = publisherOf(memoryLog(day(9)), directory)
  await tick()
  const { text } = await receiptOf(directory, 4)
  for (let at = 0; at < text.length; at += 3) {
    const changed = text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1)
    assert.equal(verifyReceipt({ text: changed, vkey }).ok, false, `at ${at}`)
  }
})

test('an entry that is not published yet has no receipt', async (t) => {
  const directory = await scratch(t)
  const log = memoryLog(day(9))
  await publisherOf(log, directory).tick()
  log.add(act())
  for (const index of [9, -1, 1.5]) {
    const made = await makeReceipt({ directory, index })
    assert.equal(made.ok, false)
  }
})

test('a damaged folder gives no receipt that would not verify', async (t) => {
  const directory = await scratch(t)
  await publisherOf(memoryLog(day(300)), directory).tick()
  const bundle = await readFile(join(directory, 'tile/entries/000'))
  bundle[40] = (bundle[40] ?? 0) ^ 1
  await writeFile(join(directory, 'tile/entries/000'), bundle)
  for (const index of [0, 270]) {
    if (index === 270) await rm(join(directory, 'tile/1/000.p/1'))
    const made = await makeReceipt({ directory, index })
    assert.deepEqual(made.ok ? 'made' : made.problem, 'damaged')
  }
})

test('an export is a whole copy that verifies against what was published', async (t) => {
  const [directory, copy] = [await scratch(t), await scratch(t)]
  const log = memoryLog(day(600))
  const { vkey, tick } = publisherOf(log, directory)
  await tick()
  log.add(act())
  assert.deepEqual(await exportLog({ log, directory: copy }), { ok: true, size: 600 })
  const kept = [await readFile(join(directory, 'checkpoint'), 'utf8')]
  assert.deepEqual((await verifyLog({ directory: copy, vkey, kept })).problems, [])
})

test('a store that was changed does not overwrite an older, sound export', async (t) => {
  const [directory, copy] = [await scratch(t), await scratch(t)]
  const log = memoryLog(day(300))
  const publisher = publisherOf(log, directory)
  await publisher.tick()
  await exportLog({ log, directory: copy })
  log.rewrite(3, act({ by: 'nobody' }))
  const again = await exportLog({ log, directory: copy })
  assert.equal(again.ok ? 'ok' : again.problem, 'not-consistent')
  assert.equal((await verifyLog({ directory: copy, vkey: publisher.vkey })).ok, true)
})

test('an export does not go into the folder of another log, nor before anything was signed', async (t) => {
  const directory = await scratch(t)
  await publisherOf(memoryLog(day(5)), directory).tick()
  const log = memoryLog(day(3))
  const nothing = await exportLog({ log, directory })
  assert.equal(nothing.ok ? 'ok' : nothing.problem, 'nothing-signed')
  await publisherOf(log, await scratch(t)).tick()
  const into = await exportLog({ log, directory: await copyOf(directory, t) })
  assert.equal(into.ok ? 'ok' : into.problem, 'other-log')
})

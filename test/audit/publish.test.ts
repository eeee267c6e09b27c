import assert from 'node:assert/strict'
import { chmod, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import * as fc from 'fast-check'
import { newSigningKey } from '../../src/audit/note.ts'
import { openCheckpoint } from '../../src/audit/checkpoint.ts'
import { verifyLog } from '../../src/verify.ts'
import { act, day, memoryLog } from './samples.ts'
import { publisherOf, scratch } from './scratch.ts'
import type { Published } from '../../src/audit/publish.ts'

const key = newSigningKey()
const sizeOf = (done: Published): number =>
  done.kind === 'published' ? done.size : assert.fail(JSON.stringify(done))
const problemOf = (done: Published): string =>
  done.kind === 'refused' ? done.problem : assert.fail(done.kind)

test('an empty log publishes nothing', async (t) => {
  const directory = await scratch(t)
  assert.deepEqual(await publisherOf(memoryLog(), directory).tick(), { kind: 'empty' })
  assert.deepEqual(await readdir(directory), [])
})

test('what is published verifies after every step, however the log grows', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 1, maxLength: 5 }),
      async (steps) => {
        const directory = await scratch(t)
        const log = memoryLog()
        const kept: string[] = []
        let publisher = publisherOf(log, directory, key)
        for (const [i, step] of steps.entries()) {
          log.add(...Array.from({ length: step }, () => act()))
          const done = await publisher.tick()
          if (done.kind === 'empty') continue
          assert.equal(sizeOf(done), log.rows.length)
          kept.push(await readFile(join(directory, 'checkpoint'), 'utf8'))
          const report = await verifyLog({ directory, vkey: publisher.vkey, kept })
          assert.deepEqual(report.problems, [])
          // Every other step in a new process: recovery is the way that it always begins.
          if (i % 2 === 0) publisher = publisherOf(log, directory, key)
        }
      },
    ),
    { numRuns: 12 },
  )
})

test('nothing new, nothing written: the same checkpoint stays', async (t) => {
  const directory = await scratch(t)
  const log = memoryLog(day(10))
  const publisher = publisherOf(log, directory, key)
  const first = await publisher.tick()
  assert.deepEqual(await publisher.tick(), first)
  assert.deepEqual(await publisherOf(log, directory, key).tick(), first)
})

test('partial tiles go when the full one is there, and no temporary file stays', async (t) => {
  const directory = await scratch(t)
  const log = memoryLog(day(200))
  const publisher = publisherOf(log, directory, key)
  await publisher.tick()
  log.add(...day(100))
  await publisher.tick()
  const files = (await readdir(directory, { recursive: true })).sort()
  assert.equal(
    files.some((file) => file.includes('000.p') && !file.startsWith('tile/1')),
    false,
  )
  assert.equal(
    files.some((file) => file.endsWith('.tmp')),
    false,
  )
})

test('an old entry that changed in the store is not signed after a restart', async (t) => {
  const directory = await scratch(t)
  const log = memoryLog(day(300))
  await publisherOf(log, directory, key).tick()
  const before = await readFile(join(directory, 'checkpoint'), 'utf8')
  log.rewrite(17, act({ by: 'nobody' }))
  log.add(act())
  const publisher = publisherOf(log, directory, key)
  assert.equal(problemOf(await publisher.tick()), 'not-consistent')
  assert.equal(problemOf(await publisher.tick()), 'not-consistent')
  assert.equal(await readFile(join(directory, 'checkpoint'), 'utf8'), before)
  assert.equal(log.signed?.text, before)
  assert.equal(publisher.status().failing, true)
  // The copy is what tells how it was: nothing in it was overwritten.
  assert.equal((await verifyLog({ directory, vkey: publisher.vkey })).ok, true)
})

test('an entry whose bytes no longer fit the leaf that was stored with them is not signed', async (t) => {
  const log = memoryLog(day(20))
  const changed = log.rows[11] ?? assert.fail()
  log.rows[11] = {
    ...changed,
    bytes: Buffer.from(changed.bytes.map((byte, i) => (i === 30 ? byte ^ 1 : byte))),
  }
  const done = await publisherOf(log, await scratch(t), key).tick()
  assert.equal(problemOf(done), 'leaf-differs')
  assert.match(JSON.stringify(done), /entry 11/)
})

test('a refusal stays until an operator has looked, and a long log is not hashed over and over', async (t) => {
  const directory = await scratch(t)
  const log = memoryLog(day(30))
  await publisherOf(log, directory, key).tick()
  const sound = log.rows[4]?.bytes ?? assert.fail()
  log.rewrite(4, act({ by: 'nobody' }))
  const publisher = publisherOf(log, directory, key)
  await publisher.tick()
  log.rewrite(4, sound)
  assert.equal(problemOf(await publisher.tick()), 'not-consistent')
  assert.equal(sizeOf(await publisherOf(log, directory, key).tick()), 30)
})

test('a missing entry is not signed over', async (t) => {
  const log = memoryLog(day(20))
  log.rows.splice(5, 1)
  assert.equal(problemOf(await publisherOf(log, await scratch(t), key).tick()), 'gap')
})

test('a store that was set back behind what was signed is not continued', async (t) => {
  const directory = await scratch(t)
  const log = memoryLog(day(50))
  await publisherOf(log, directory, key).tick()
  const backup = memoryLog(log.rows.slice(0, 40).map((row) => row.bytes))
  // The store from the backup knows no checkpoint; the folder does.
  assert.equal(problemOf(await publisherOf(backup, directory, key).tick()), 'shortened')
  backup.add(...day(30))
  assert.equal(problemOf(await publisherOf(backup, directory, key).tick()), 'not-consistent')
})

test('another log is not published over this one', async (t) => {
  const directory = await scratch(t)
  await publisherOf(memoryLog(day(5)), directory, key).tick()
  assert.equal(problemOf(await publisherOf(memoryLog(day(9)), directory).tick()), 'foreign-checkpoint')
})

test('the process dies after signing and before the files: the next one publishes what was signed', async (t) => {
  const [directory, elsewhere] = [await scratch(t), await scratch(t)]
  const log = memoryLog(day(300))
  await publisherOf(log, directory, key).tick()
  log.add(...day(300))
  await publisherOf(log, elsewhere, key).tick()
  const signed = log.signed?.text
  log.add(...day(1))
  log.rows.pop()
  assert.equal(sizeOf(await publisherOf(log, directory, key).tick()), 600)
  assert.equal(await readFile(join(directory, 'checkpoint'), 'utf8'), signed)
  const publisher = publisherOf(log, directory, key)
  assert.equal((await verifyLog({ directory, vkey: publisher.vkey })).ok, true)
})

test('a folder that was lost is made anew from the store', async (t) => {
  const directory = await scratch(t)
  const log = memoryLog(day(600))
  const publisher = publisherOf(log, directory, key)
  await publisher.tick()
  await rm(directory, { recursive: true })
  await publisherOf(log, directory, key).tick()
  assert.equal((await verifyLog({ directory, vkey: publisher.vkey })).ok, true)
})

for (const fault of ['unpersisted', 'persisted'] as const) {
  test(`the store fails while it keeps the checkpoint (${fault}): the next tick publishes one history`, async (t) => {
    const directory = await scratch(t)
    const log = memoryLog(day(290))
    const { putCheckpoint } = log
    let broken = true
    const failing = Object.assign(log, {
      putCheckpoint: async (next: { size: number; text: string }) => {
        if (!broken) return putCheckpoint(next)
        if (fault === 'persisted') await putCheckpoint(next)
        throw new Error('the disk is full')
      },
    })
    const publisher = publisherOf(failing, directory, key)
    await assert.rejects(publisher.tick(), /disk is full/)
    assert.equal(publisher.status().failing, true)
    const signed = log.signed?.text ?? null
    log.add(...day(10))
    broken = false
    assert.equal(sizeOf(await publisher.tick()), 300)
    const kept = signed === null ? [] : [signed]
    assert.deepEqual((await verifyLog({ directory, vkey: publisher.vkey, kept })).problems, [])
  })
}

test('the folder cannot be written: the tick rejects, and a later one makes it whole', async (t) => {
  const directory = await scratch(t)
  const log = memoryLog(day(20))
  const publisher = publisherOf(log, directory, key)
  await writeFile(join(directory, 'tile'), 'in the way')
  await assert.rejects(publisher.tick())
  await rm(join(directory, 'tile'))
  assert.equal(sizeOf(await publisher.tick()), 20)
  await chmod(directory, 0o700)
})

test('two nodes over one store sign one history', async (t) => {
  const log = memoryLog(day(100))
  const [a, b] = [publisherOf(log, await scratch(t), key), publisherOf(log, await scratch(t), key)]
  await a.tick()
  log.add(...day(60))
  await b.tick()
  log.add(...day(60))
  const [one, two] = await Promise.all([a.tick(), b.tick()])
  for (const done of [one, two]) assert.notEqual(done.kind, 'refused')
  assert.equal(sizeOf(await a.tick()), 220)
})

test('a tick covers what was appended before it was asked for, even while another runs', async (t) => {
  const log = memoryLog(day(100))
  const publisher = publisherOf(log, await scratch(t), key)
  const running = publisher.tick()
  await Promise.resolve()
  log.add(act())
  assert.equal(sizeOf(await publisher.tick()), 101)
  await running
})

test('started, it publishes by itself; stopped, it has published the last entry', async (t) => {
  const log = memoryLog(day(3))
  const publisher = publisherOf(log, await scratch(t), key)
  publisher.start()
  log.add(act())
  await publisher.stop()
  assert.equal(log.signed?.size, 4)
  const opened = openCheckpoint(log.signed?.text ?? '', null)
  assert.ok(opened.ok && opened.checkpoint.size === 4)
})

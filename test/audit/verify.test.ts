import assert from 'node:assert/strict'
import { appendFile, cp, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { canonical } from '../../src/lib/jcs.ts'
import { newSigningKey } from '../../src/audit/note.ts'
import { decodeBundle, encodeBundle, tilePath } from '../../src/audit/tiles.ts'
import { verifyLog } from '../../src/verify.ts'
import { act, approved, day, intent, memoryLog, outcome, recorder } from './samples.ts'
import { copyOf, publisherOf, scratch } from './scratch.ts'
import type { Entry } from '../../src/audit/entry.ts'
import type { Publisher } from '../../src/audit/publish.ts'
import type { Report } from '../../src/verify.ts'

type Context = Parameters<typeof scratch>[0]
type Published = {
  readonly directory: string
  readonly vkey: string
  readonly publisher: Publisher
  readonly entries: readonly Entry[]
}

/** A published log: 600 entries unless told, so two full tiles and a partial one. */
async function published(context: Context, entries: readonly Entry[] = day(600)): Promise<Published> {
  const directory = await scratch(context)
  const publisher = publisherOf(memoryLog(entries), directory)
  assert.equal((await publisher.tick()).kind, 'published')
  return { directory, vkey: publisher.vkey, publisher, entries }
}

/** Rewrites one bundle of entries in a folder, as someone with write access would. */
async function rewrite(
  directory: string,
  path: string,
  change: (entries: Uint8Array[]) => readonly Uint8Array[],
): Promise<void> {
  const { entries } = decodeBundle(await readFile(join(directory, path)))
  await writeFile(join(directory, path), encodeBundle(change([...entries])))
}

const firstOf = (report: Report): string => `${report.problems[0]?.index}: ${report.problems[0]?.problem}`
const callOf = (entry: Entry | undefined): string | undefined =>
  entry !== undefined && 'call' in entry ? entry.call : undefined

test('a published log verifies, and the report says what is in it', async (t) => {
  const { directory, vkey } = await published(t)
  const seen: number[] = []
  const report = await verifyLog({ directory, vkey, progress: (done) => seen.push(done) })
  assert.deepEqual(report.problems, [])
  assert.equal(report.ok, true)
  assert.deepEqual({ size: report.size, signature: report.signature, origin: report.origin }, { size: 600, signature: 'verified', origin: 'broker.example/log' }) // prettier-ignore
  const { refused, intent: intents, outcome: outcomes, act: acts } = report.counts
  assert.equal(refused + intents + outcomes + acts, 600)
  assert.equal(seen.at(-1), 600)
})

for (const size of [1, 255, 256, 257, 512]) {
  test(`a log of ${size} entries verifies`, async (t) => {
    const { directory, vkey } = await published(t, day(size))
    assert.deepEqual((await verifyLog({ directory, vkey })).problems, [])
  })
}

test('an edited entry is found and named by its index and call', async (t) => {
  const { directory, vkey, entries } = await published(t)
  await rewrite(directory, 'tile/entries/001', (all) => {
    const text = Buffer.from(all[50] ?? []).toString()
    return all.with(
      50,
      Buffer.from(
        text.replace('"reviewer"', '"attacker"').replace('"ok"', '"failed"').replace('denied', 'DENIED'),
      ),
    )
  })
  const report = await verifyLog({ directory, vkey })
  assert.equal(report.ok, false)
  assert.equal(firstOf(report), '306: the entry is not the one that was signed')
  assert.equal(report.problems[0]?.call, callOf(entries[306]))
  assert.equal(report.problems.length, 1)
})

test('a deleted entry is found at its index', async (t) => {
  const { directory, vkey } = await published(t)
  await rewrite(directory, 'tile/entries/000', (all) => all.toSpliced(100, 1))
  const report = await verifyLog({ directory, vkey })
  assert.equal(firstOf(report), '100: the entry is not the one that was signed')
})

test('the last entry of all cannot be taken away', async (t) => {
  const { directory, vkey } = await published(t)
  await rewrite(directory, tilePath({ level: 'entries', index: 2, width: 88 }), (all) => all.slice(0, -1))
  assert.match(firstOf(await verifyLog({ directory, vkey })), /^599: .*does not hold the entries/)
})

test('two entries in the other order are found', async (t) => {
  const { directory, vkey } = await published(t)
  await rewrite(directory, 'tile/entries/000', (all) =>
    all.with(7, all[8] ?? assert.fail()).with(8, all[7] ?? assert.fail()),
  )
  const report = await verifyLog({ directory, vkey })
  assert.deepEqual(report.problems.slice(0, 2).map(({ index }) => index), [7, 8]) // prettier-ignore
})

test('an inserted entry is found', async (t) => {
  const { directory, vkey } = await published(t)
  const forged = recorder.encode(act({ act: 'tool.review', by: 'owner' }))
  await rewrite(directory, 'tile/entries/001', (all) => all.toSpliced(9, 0, forged))
  assert.match(firstOf(await verifyLog({ directory, vkey })), /^265: /)
})

test('an inserted entry that pushes another one out of its bundle is found', async (t) => {
  const { directory, vkey } = await published(t)
  const forged = recorder.encode(act())
  await rewrite(directory, 'tile/entries/001', (all) => all.toSpliced(9, 0, forged).slice(0, 256))
  assert.match(firstOf(await verifyLog({ directory, vkey })), /^265: /)
})

test('a cut log is sound by itself, and not against a checkpoint that was kept', async (t) => {
  const { directory, publisher, vkey, entries } = await published(t)
  const kept = await readFile(join(directory, 'checkpoint'), 'utf8')
  const older = await scratch(t)
  // What the attacker shows is what the log once was: every signature in it is genuine.
  const log = memoryLog(entries.slice(0, 500))
  const cut = await publishedAgain(t, log, older)
  assert.equal((await verifyLog({ directory: older, vkey: cut.vkey })).ok, true)
  const report = await verifyLog({ directory: older, kept: [kept] })
  assert.equal(firstOf(report), '500: the log was cut: 600 entries were signed, 500 are here')
  assert.equal((await verifyLog({ directory, vkey, kept: [kept] })).ok, true)
  assert.equal(publisher.vkey, vkey)
})

async function publishedAgain(
  _context: Context,
  log: ReturnType<typeof memoryLog>,
  directory: string,
): Promise<Publisher> {
  const publisher = publisherOf(log, directory)
  await publisher.tick()
  return publisher
}

test('an older checkpoint put over the newer one is found against the kept one, and noted without it', async (t) => {
  const directory = await scratch(t)
  const log = memoryLog(day(300))
  const publisher = publisherOf(log, directory)
  await publisher.tick()
  const old = await readFile(join(directory, 'checkpoint'), 'utf8')
  log.add(...day(100))
  await publisher.tick()
  const kept = await readFile(join(directory, 'checkpoint'), 'utf8')
  await writeFile(join(directory, 'checkpoint'), old)
  const { vkey } = publisher
  assert.match((await verifyLog({ directory, vkey })).notes.join(), /tiles belong to a longer log/)
  assert.match(firstOf(await verifyLog({ directory, vkey, kept: [kept] })), /^300: the log was cut/)
})

test('a checkpoint that promises more than there is names the first missing entry', async (t) => {
  const { directory, vkey } = await published(t)
  await rm(join(directory, 'tile/entries/002.p'), { recursive: true })
  assert.match(firstOf(await verifyLog({ directory, vkey })), /^512: `tile\/entries\/002.p\/88` is missing/)
})

test('bytes after the last entry of a bundle are found', async (t) => {
  const { directory, vkey } = await published(t)
  await appendFile(join(directory, 'tile/entries/000'), 'x')
  assert.match(firstOf(await verifyLog({ directory, vkey })), /tile\/entries\/000` does not hold the entries/)
})

test('a fork, signed by the same key, does not pass a checkpoint that was kept', async (t) => {
  const entries = day(600)
  const key = newSigningKey()
  const [honest, forked] = [await scratch(t), await scratch(t)]
  const publisher = publisherOf(memoryLog(entries.slice(0, 400)), honest, key)
  await publisher.tick()
  const kept = await readFile(join(honest, 'checkpoint'), 'utf8')
  await publisherOf(memoryLog(entries.with(3, act({ by: 'nobody' }))), forked, key).tick()
  const { vkey } = publisher
  assert.match(
    firstOf(await verifyLog({ directory: forked, vkey, kept: [kept] })),
    /the log has forked: its first 400 entries/,
  )
  await rm(forked, { recursive: true })
  await publisherOf(memoryLog(entries), forked, key).tick()
  assert.equal((await verifyLog({ directory: forked, vkey, kept: [kept] })).ok, true)
})

test('a whole log that was made anew under another key is not this log', async (t) => {
  const { vkey, entries } = await published(t)
  const replaced = await published(t, [...entries.slice(0, -1), act()])
  const report = await verifyLog({ directory: replaced.directory, vkey })
  assert.equal(report.signature, 'failed')
  assert.equal(firstOf(report), 'undefined: the checkpoint is not signed by this key')
})

test('a log under another name is not this log', async (t) => {
  const { directory, publisher } = await published(t)
  const text = await readFile(join(directory, 'checkpoint'), 'utf8')
  await writeFile(join(directory, 'checkpoint'), text.replaceAll('broker.example/log', 'broker.example/gol'))
  assert.match(
    firstOf(await verifyLog({ directory, vkey: publisher.vkey })),
    /this is the log `broker.example\/gol`/,
  )
  const report = await verifyLog({ directory, kept: [text] })
  assert.match(firstOf(report), /the kept checkpoint is of `broker.example\/log`/)
})

test('without a verifier key the report says that the signature was not checked', async (t) => {
  const { directory } = await published(t)
  const report = await verifyLog({ directory })
  assert.equal(report.signature, 'unchecked')
  assert.match(report.notes.join(), /no verifier key/)
})

test('a kept text that is no checkpoint is a problem and not passed over', async (t) => {
  const { directory, vkey } = await published(t)
  assert.match(
    firstOf(await verifyLog({ directory, vkey, kept: ['nothing'] })),
    /kept checkpoint cannot be used/,
  )
})

test('a changed tile is told from a changed entry', async (t) => {
  const { directory, vkey } = await published(t)
  const tile = await readFile(join(directory, 'tile/0/001'))
  tile[32 * 5] = (tile[32 * 5] ?? 0) ^ 1
  await writeFile(join(directory, 'tile/0/001'), tile)
  assert.equal(
    firstOf(await verifyLog({ directory, vkey })),
    '261: the tile does not hold the hash of this entry',
  )
})

test('entries and their tiles, rewritten together, do not lead to the signed root', async (t) => {
  const { directory, vkey, entries } = await published(t)
  const other = await published(t, entries.with(3, act({ by: 'nobody' })))
  const signed = await readFile(join(directory, 'checkpoint'))
  await cp(other.directory, directory, { recursive: true })
  await writeFile(join(directory, 'checkpoint'), signed)
  const report = await verifyLog({ directory, vkey })
  assert.match(firstOf(report), /the entries do not lead to the signed root/)
})

for (const path of ['tile/0/000', 'tile/0/002.p/88', 'tile/1/000.p/2', 'tile/entries/000', 'checkpoint']) {
  test(`\`${path}\` is missed`, async (t) => {
    const { directory, vkey } = await published(t)
    await rm(join(directory, path))
    const report = await verifyLog({ directory, vkey })
    assert.equal(report.ok, false)
    assert.match(report.problems[0]?.problem ?? '', path === 'checkpoint' ? /no checkpoint/ : /is missing/)
  })
}

test('an older partial tile that tells another story than the log is found', async (t) => {
  const directory = await scratch(t)
  const log = memoryLog(day(20))
  const publisher = publisherOf(log, directory)
  await publisher.tick()
  log.add(...day(20))
  await publisher.tick()
  assert.equal((await verifyLog({ directory, vkey: publisher.vkey })).ok, true)
  await rewrite(directory, 'tile/entries/000.p/20', (all) => all.toReversed())
  assert.match(firstOf(await verifyLog({ directory, vkey: publisher.vkey })), /tile\/entries\/000.p\/20/)
})

test('a full tile may stand in for a partial one that was completed while the copy was made', async (t) => {
  const { directory, vkey, entries } = await published(t, day(400))
  const full = await published(t, [...entries, ...day(112)])
  for (const path of ['tile/entries/001', 'tile/0/001']) {
    await rm(join(directory, `${path}.p`), { recursive: true })
    await cp(join(full.directory, path), join(directory, path))
  }
  const report = await verifyLog({ directory, vkey })
  assert.deepEqual(report.problems, [])
  assert.match(report.notes.join(), /2 tiles belong to a longer log/)
})

test('files that are none of the log are noted', async (t) => {
  const { directory, vkey } = await published(t, day(5))
  await mkdir(join(directory, 'notes'))
  await writeFile(join(directory, 'notes/a.txt'), 'x')
  await rename(join(directory, 'notes/a.txt'), join(directory, 'a.txt'))
  const report = await verifyLog({ directory, vkey })
  assert.equal(report.ok, true)
  assert.match(report.notes.join(), /1 files/)
})

test('a folder that is not there is a problem with a hint, and no exception', async () => {
  const report = await verifyLog({ directory: '/nonexistent/log' })
  assert.equal(report.problems[0]?.problem, 'there is no checkpoint')
})

const call = 'c_0000000000000000000009'
const later = 'c_0000000000000000000010'
const wrong: { readonly [what: string]: readonly [readonly (Entry | Uint8Array)[], number, RegExp] } = {
  'an outcome without an intent': [[outcome(call)], 0, /without an intent before it/],
  'an outcome before its intent': [[outcome(call), intent({ call })], 0, /without an intent before it/],
  'a second outcome of one intent': [[intent({ call }), outcome(call), outcome(call)], 2, /second outcome/],
  'a second intent of one call': [[intent({ call }), outcome(call), intent({ call })], 2, /second intent/],
  'an outcome under another task': [
    [intent({ call }), outcome(call, { task: 't_2' })],
    1,
    /under another task/,
  ],
  'an approval that is used twice': [
    [intent({ call, approval: approved('a_1') }), intent({ call: later, approval: approved('a_1') })],
    1,
    /approval that another call has used/,
  ],
  'an approval with fewer answers than required': [
    [intent({ approval: approved('a_1', []) })],
    0,
    /fewer approvals/,
  ],
  'one person who answered twice where two were required': [
    [
      intent({
        approval: {
          ...(approved('a_1', ['approver', 'approver']) ?? assert.fail()),
          requirement: { count: 2, independent: false, proof: 'terminal' },
        },
      }),
    ],
    0,
    /fewer approvals/,
  ],
  'a leg of a chain that never began': [[intent({ call, chain: later })], 0, /first call has no intent/],
  'an entry that is not canonical': [[Buffer.from(`${canonical(act())} `)], 0, /canonical/],
  'an entry with two equal names': [[Buffer.from('{"kind":"act","kind":"act"}')], 0, /each name once/],
  'an entry that is no JSON': [[Buffer.from('hello')], 0, /strict JSON/],
  'an empty entry': [[new Uint8Array(0)], 0, /strict JSON/],
  'an entry of an unknown kind': [[Buffer.from(canonical({ kind: 'gap' }))], 0, /schema: kind/],
}
for (const [what, [entries, index, problem]] of Object.entries(wrong)) {
  test(`${what} is found, though every signature is right`, async (t) => {
    const directory = await scratch(t)
    const publisher = publisherOf(memoryLog(entries), directory)
    await publisher.tick()
    const { problems } = await verifyLog({ directory, vkey: publisher.vkey })
    assert.equal(problems[0]?.index, index)
    assert.match(problems[0]?.problem ?? '', problem)
  })
}

test('legs of a chain stand on the approval of the first', async (t) => {
  const approval = approved('a_1')
  const legs = [
    intent({ call, approval }),
    outcome(call, { outcome: 'suspended' }),
    intent({ call: later, chain: call, approval }),
    outcome(later),
  ]
  const { directory, vkey } = await published(t, legs)
  assert.deepEqual((await verifyLog({ directory, vkey })).problems, [])
})

test('intents without outcome are counted and named, and are no fault: calls may be running', async (t) => {
  const { directory, vkey } = await published(t, [intent({ call }), act()])
  const report = await verifyLog({ directory, vkey })
  assert.equal(report.ok, true)
  assert.equal(report.counts.open, 1)
  assert.deepEqual(report.open, [{ index: 0, call }])
})

test('a clock that went back is noted', async (t) => {
  const { directory, vkey } = await published(t, [
    act({ at: '2027-01-01T00:00:01.000Z' }),
    act({ at: '2027-01-01T00:00:00.000Z' }),
  ])
  const report = await verifyLog({ directory, vkey })
  assert.deepEqual([report.ok, report.counts.backwards], [true, 1])
})

test('the copy is what is checked: the verifier does not touch it', async (t) => {
  const { directory, vkey } = await published(t, day(300))
  const copy = await copyOf(directory, t)
  await verifyLog({ directory: copy, vkey })
  for (const path of ['checkpoint', 'tile/0/000', 'tile/entries/001.p/44']) {
    assert.deepEqual(await readFile(join(copy, path)), await readFile(join(directory, path)))
  }
})

import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { appendFile, cp, readFile, readdir, writeFile } from 'node:fs/promises'
import { at, call, endings, folder, message, ofKind, refusal, until, waitNoMore } from './play.ts'
import { join } from 'node:path'
import { verifyLog } from '../../src/verify.ts'
import { world, type World } from '../world.ts'

/** Records that went wrong elsewhere: refusals without a trace, digests that leave something out, heads that race, files that change. */

const ends = endings()
let w: World
before(async () => {
  w = ends.add(
    await world({
      config: waitNoMore,
      agents: { agent: {}, narrow: { task: { tools: ['playground/notes_search'] } } },
    }),
  )
})
after(() => ends.close())

const log = () => join(w.home, 'log')
/** Waits until everything that was said so far is in the published log. */
async function published() {
  const size = (await w.entries()).length
  await until(
    async () =>
      (await verifyLog({ directory: log(), vkey: w.broker.publisher.vkey }).catch(() => null))?.size === size,
  )
  return size
}

test('each way to be refused leaves an entry with who, what, why and under which policy', async () => {
  const client = await w.client()
  await call(client, 'playground__notes_add', { title: 'a', text: 'b' })
  await w.answer(await w.nextAsk(), 'refuse')
  await call(client, 'playground__notes_add', { title: 'a', text: 'b' })
  await w.post(message('playground__payment_send', { recipient: 'DE1', amount: 1 }), {
    token: await w.token('narrow'),
  })
  await call(client, 'playground__payment_send', { recipient: 'DE1', amount: -1 })
  await w.post(message('playground__notes_search', { words: 'a' }))
  const entries = await ofKind(w, 'refused')
  for (const code of [
    'approval-required',
    'approval-refused',
    'unknown-tool',
    'bad-arguments',
    'unauthenticated',
  ])
    assert.ok(
      entries.some((entry) => entry['code'] === code),
      code,
    )
  const refused = entries.find((entry) => entry['code'] === 'approval-refused')
  assert.equal(at(refused, 'who', 'name'), 'agent')
  assert.equal(at(refused, 'what', 'tool'), 'playground/notes_add')
  assert.match(String(refused?.['policy']), /^sha256:/)
})

test('two calls that differ in one argument have different commitments, and so have two equal ones: nobody can guess what was said', async () => {
  const client = await w.client()
  for (const words of ['alpha', 'beta', 'alpha']) await call(client, 'playground__notes_search', { words })
  const commitments = (await ofKind(w, 'intent')).slice(-3).map((entry) => entry['arguments'])
  assert.equal(new Set(commitments).size, 3)
})

test('an entry holds no words of an argument or a result, only commitments to them', async () => {
  const client = await w.client()
  await call(client, 'playground__notes_search', { words: 'supplier-canary' })
  const lines = JSON.stringify(
    (await w.entries()).filter(({ kind }) => kind === 'intent' || kind === 'outcome' || kind === 'refused'),
  )
  assert.doesNotMatch(lines, /supplier-canary|GB82WEST/)
})

test('forty calls at one moment give forty intents, each before its outcome, and a log that verifies', async () => {
  const token = await w.token()
  const before = (await ofKind(w, 'intent')).length
  await Promise.all(
    Array.from({ length: 40 }, (_, n) =>
      w.post(message('playground__notes_search', { words: `w${n}` }), { token }),
    ),
  )
  const entries = await w.entries()
  assert.equal(entries.filter(({ kind }) => kind === 'intent').length, before + 40)
  const seen = new Set<unknown>()
  for (const entry of entries) {
    if (entry['kind'] === 'intent') seen.add(entry['call'])
    if (entry['kind'] === 'outcome') assert.ok(seen.has(entry['call']))
  }
  await published()
  const report = await verifyLog({ directory: log(), vkey: w.broker.publisher.vkey })
  assert.deepEqual(report.problems, [])
  assert.equal(report.signature, 'verified')
})

test('one changed byte, one appended byte or another signer is found in a copy of the log', async () => {
  const size = await published()
  const kept = await readFile(join(log(), 'checkpoint'), 'utf8')
  const spoil = async (how: (directory: string) => Promise<void>) => {
    const { path } = ends.add(await folder())
    await cp(log(), path, { recursive: true })
    await how(path)
    return verifyLog({ directory: path, vkey: w.broker.publisher.vkey, kept: [kept] })
  }
  const entriesIn = async (directory: string) => {
    const names = await readdir(join(directory, 'tile/entries'), { recursive: true, withFileTypes: true })
    const files = names
      .filter((one) => one.isFile())
      .map((one) => join(one.parentPath, one.name))
      .sort()
    return files.at(-1) ?? ''
  }
  assert.equal((await spoil(async () => undefined)).ok, true)
  const changed = await spoil(async (directory) => {
    const path = await entriesIn(directory)
    const bytes = await readFile(path)
    bytes[40] = (bytes[40] ?? 0) ^ 1
    await writeFile(path, bytes)
  })
  assert.equal(changed.ok, false)
  assert.equal((await spoil(async (directory) => appendFile(await entriesIn(directory), 'x'))).ok, false)
  assert.equal(
    (
      await spoil(async (directory) =>
        writeFile(join(directory, 'checkpoint'), kept.replace(String(size), String(size - 1))),
      )
    ).ok,
    false,
  )
  const twin = ends.add(await world())
  assert.equal((await verifyLog({ directory: log(), vkey: twin.broker.publisher.vkey })).ok, false)
})

test('a flood of refusals is counted, not forgotten and not written a thousand times', async () => {
  const token = await w.token('narrow')
  const before = (await ofKind(w, 'refused')).length
  for (let turn = 0; turn < 15; turn++)
    await Promise.all(Array.from({ length: 20 }, () => w.post(message('playground__nothing', {}), { token })))
  const written = (await ofKind(w, 'refused')).slice(before)
  assert.ok(written.length > 0 && written.length < 300, String(written.length))
})

test('what a person does is an act under their name: answers, reviews, policies, revocations', async () => {
  const client = await w.client()
  await call(client, 'playground__notes_add', { title: 'acts', text: 'b' })
  await w.answer(await w.nextAsk(), 'approve')
  assert.equal(refusal(await call(client, 'playground__notes_add', { title: 'acts', text: 'b' })), null)
  await w.broker.core.revocations.revoke(
    { key: 'tool:playground/notes_add', reason: 'r' },
    { name: 'operator', proof: 'terminal' },
  )
  const acts = (await ofKind(w, 'act')).filter(({ by }) => by === 'operator').map(({ act }) => String(act))
  for (const act of ['ask-approved', 'ask-refused', 'tool-reviewed']) assert.ok(acts.includes(act), act)
  assert.ok(
    acts.some((act) => act.startsWith('revo')),
    acts.join(),
  )
})

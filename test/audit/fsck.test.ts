import assert from 'node:assert/strict'
import { cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, it } from 'node:test'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import { askOf, endOf, hire, operator, pathWorld, text, type PathWorld } from '../call/world.ts'
import { canonical } from '../../src/lib/jcs.ts'
import { findingKinds } from '../../src/audit/fsck/finding.ts'
import { fsck, type FindingCode, type FsckReport } from '../../src/audit/fsck.ts'
import { isJsonObject, type JsonObject } from '../../src/lib/json.ts'
import { leafHash } from '../../src/audit/hash.ts'
import { main } from '../../src/cli/main.ts'
import { newId } from '../../src/lib/id.ts'
import { pageText } from '../../scripts/pages.ts'
import { findingsPage } from '../../scripts/findings-page.ts'
import { verified } from '../call/invariants.ts'
import { viewSqlite } from '../../src/store/sqlite.ts'
import type { Task } from '../../src/task/task.ts'

/**
 * A store in which a bit of everything has happened is sound; each way of writing to it around the broker is found, and
 * by the code that says what was done.
 */

const far = Date.parse('2030-01-01T00:00:00Z')
let sound = ''
const names = { open: '', child: '', ask: '', refusedAsk: '', call: '', leg: '', note: '', lost: '' }

async function look(home: string, given: { readonly vkey?: string } = {}): Promise<FsckReport> {
  const viewing = viewSqlite({ path: join(home, 'store', 'countersign.db') })
  try {
    const published = join(home, 'log')
    return await fsck({ view: viewing.view, published, now: far, livingMs: 30_000, graceMs: 0, ...given })
  } finally {
    await viewing.close()
  }
}

/** Calls of every kind, people's answers, a chain, an unknown outcome, acts, an erasure: all by the real path. */
async function livedIn(w: PathWorld): Promise<void> {
  const task = await w.open({ budget: { calls: 40, effects: { write: 5 } } })
  const child = await w.open({ parent: task.id })
  Object.assign(names, { open: task.id, child: child.id })
  for (const one of [task, child, child]) await w.call(one, 'bank/balance', { path: newId('x') })
  await w.call(task, 'files/wipe')
  names.ask = askOf(await w.call(child, 'files/write', { path: 'approved' }))
  await w.approve(names.ask)
  names.call = newId('c')
  assert.equal(endOf(await w.call(child, 'files/write', { path: 'approved' }, { call: names.call })), 'ok')
  names.refusedAsk = askOf(await w.call(task, 'files/write', { path: 'refused' }))
  await w.refuse(names.refusedAsk)
  await w.call(task, 'files/write', { path: 'refused' })
  await chained(w, task)
  w.servers.script(() => ({ kind: 'unknown', problem: 'timeout', detail: 'no answer' }))
  names.lost = newId('c')
  assert.equal(endOf(await w.call(task, 'files/note', { path: 'lost' }, { call: names.lost })), 'unknown')
  w.servers.script(() => text('done'))
  await acted(w)
}

async function chained(w: PathWorld, task: Task): Promise<void> {
  const chain = newId('c')
  w.servers.script(() => ({ kind: 'input', inputRequests: {}, requestState: 'more' }))
  assert.equal(endOf(await w.call(task, 'files/note', { path: 'chain' }, { call: chain })), 'suspended')
  w.servers.script(() => text('done'))
  names.leg = newId('c')
  const leg = { requestState: 'more', inputResponses: {}, ask: null }
  const end = await w.call(task, 'files/note', { path: 'chain' }, { call: names.leg, chain, leg })
  assert.equal(endOf(end), 'ok')
}

async function acted(w: PathWorld): Promise<void> {
  const done = await w.open({ agent: 'scout' })
  const below = await w.open({ agent: 'scout', parent: done.id })
  await w.call(below, 'files/secret')
  await w.core.tasks.lowerLabels(
    done.id,
    { confidentiality: 'public', integrity: 'trusted', reason: 'seen' },
    operator,
  )
  await w.core.tasks.narrow(done.id, { budget: { calls: 1 }, tools: ['files/*'] }, operator)
  await w.core.tasks.close(done.id, 'done', operator)
  await w.core.revocations.revoke({ key: 'tool:files/wipe', reason: 'never' }, operator)
  await w.core.revocations.revoke({ key: 'server:mail', reason: 'for now' }, operator)
  await w.core.revocations.lift({ key: 'server:mail', reason: 'well again' }, operator)
  await hire(w.ground, 'gone')
  await w.core.agents.revoke('gone', 'test', operator)
  const entries = await w.entries()
  names.note = String(entries.find(({ kind }) => kind === 'outcome')?.['result'])
  const act = { act: 'payload-erased', subject: names.note, detail: { reason: 'asked for' } }
  await w.ground.store.log.erase({ commitment: names.note }, w.ground.acts(act, operator))
}

before(async () => {
  const w = await pathWorld()
  await livedIn(w)
  await verified(w)
  await w.close('keep')
  sound = w.home
})
after(() => rm(sound, { recursive: true, force: true }))

/** A copy that was written to around the broker. */
async function tampered(
  t: { after(clean: () => Promise<void>): void },
  tamper: (database: DatabaseSync, home: string) => void | Promise<void>,
): Promise<FsckReport> {
  const home = await mkdtemp(join(tmpdir(), 'fsck-'))
  t.after(() => rm(home, { recursive: true, force: true }))
  await cp(sound, home, { recursive: true })
  const database = new DatabaseSync(join(home, 'store', 'countersign.db'), {
    enableForeignKeyConstraints: false,
  })
  await tamper(database, home)
  database.close()
  return look(home)
}

type Tamper = (database: DatabaseSync, home: string) => void | Promise<void>
const sql =
  (text: string, ...params: readonly string[]): Tamper =>
  (database) =>
    assert.equal(database.prepare(text).run(...params).changes, 1, text)

function entryOf(database: DatabaseSync, where: string): JsonObject {
  const row = database.prepare(`select bytes from entries where ${where} order by idx limit 1`).get()
  assert.ok(row?.['bytes'] instanceof Uint8Array, where)
  const entry: unknown = JSON.parse(Buffer.from(row['bytes']).toString())
  assert.ok(isJsonObject(entry))
  return entry
}

/** As whoever knows the format would add it: with its hash, behind the last. */
function append(database: DatabaseSync, bytes: Uint8Array, entry: JsonObject): void {
  const task = typeof entry['task'] === 'string' ? entry['task'] : null
  const call = typeof entry['call'] === 'string' ? entry['call'] : null
  database
    .prepare(
      `insert into entries (idx, leaf, bytes, kind, call, task, agent, at)
       values ((select max(idx) + 1 from entries), ?1, ?2, ?3, ?4, ?5, null, ?6)`,
    )
    .run(leafHash(bytes), bytes, String(entry['kind']), call, task, Date.parse(String(entry['at'])))
}

const added =
  (where: string, change: (entry: JsonObject) => JsonObject): Tamper =>
  (database) => {
    const entry = change(entryOf(database, where))
    append(database, Buffer.from(canonical(entry)), entry)
  }

const intent = "kind = 'intent'"
const outcome = "kind = 'outcome'"
const approved = (entry: JsonObject): JsonObject => (isJsonObject(entry['approval']) ? entry['approval'] : {})
const stranger = { call: 'c_0000000000000000000000', chain: 'c_0000000000000000000000' }
const ofCall = () => `call = '${names.call}' and ${intent}`
const ofTask = (id: string) => `${intent} and task = '${id}'`
const checkpointOf = (database: DatabaseSync): string =>
  String(database.prepare('select text from checkpoint').get()?.['text'])

const tampers: { readonly [code in FindingCode]: () => Tamper } = {
  'log-gap': () => sql('delete from entries where idx = 3'),
  'leaf-differs': () => (database) => {
    const entry: JsonObject = { ...entryOf(database, outcome), outcome: 'failed' }
    const call = String(entry['call'])
    sql(
      `update entries set bytes = cast('${canonical(entry)}' as blob) where ${outcome} and call = ?1`,
      call,
    )(database, '')
  },
  'entry-unreadable': () => (database) =>
    append(database, Buffer.from('{"v":1,"v":1}'), { kind: 'act', at: '2026-03-02T12:00:00.000Z' }),
  'entry-not-canonical': () => (database) => {
    const entry = entryOf(database, "kind = 'act'")
    append(database, Buffer.from(JSON.stringify(entry, null, 1)), entry)
  },
  'entry-off-schema': () => added("kind = 'act'", (entry) => ({ ...entry, payload: 'a secret' })),
  'column-differs': () => sql(`update entries set task = ?1 where ${ofCall()}`, names.open),
  'checkpoint-unreadable': () => sql("update checkpoint set text = 'nothing'"),
  'checkpoint-ahead': () => (database) => {
    const [origin, size, root, ...rest] = checkpointOf(database).split('\n')
    const ahead = [origin, Number(size) + 1, root, ...rest].join('\n')
    sql(`update checkpoint set text = ?1, size = size + 1`, ahead)(database, '')
  },
  'checkpoint-differs': () => (database) => {
    const [origin, size, , ...rest] = checkpointOf(database).split('\n')
    const other = [origin, size, Buffer.alloc(32).toString('base64'), ...rest].join('\n')
    sql('update checkpoint set text = ?1', other)(database, '')
  },
  'published-ahead': () => (database) => {
    const last = Number(database.prepare('select max(idx) as last from entries').get()?.['last'])
    database.exec(`delete from entries where idx = ${last}; delete from checkpoint`)
  },
  'published-differs': () => (database) => {
    const entry = { ...entryOf(database, 'idx = 0'), by: 'mallory' }
    const bytes = Buffer.from(canonical(entry))
    database.prepare('update entries set bytes = ?1, leaf = ?2 where idx = 0').run(bytes, leafHash(bytes))
  },
  'published-unsound': () => async (_, home) => {
    const tile = join(home, 'log', 'tile', '0', '000.p')
    for (const name of await readdir(tile)) await writeFile(join(tile, name), Buffer.alloc(32))
  },

  'second-intent': () => added(intent, (entry) => entry),
  'second-outcome': () => added(outcome, (entry) => entry),
  'outcome-without-intent': () => added(outcome, (entry) => ({ ...entry, call: stranger.call })),
  'outcome-of-another-task': () => (database) => {
    const first = entryOf(database, intent)
    const call = String(first['call'])
    const moved = { ...first, call: stranger.call, chain: stranger.chain, task: names.open }
    append(database, Buffer.from(canonical(moved)), moved)
    const end = {
      ...entryOf(database, `${outcome} and call = '${call}'`),
      call: stranger.call,
      task: names.child,
    }
    append(database, Buffer.from(canonical(end)), end)
  },
  'leg-without-first': () =>
    added(intent, (entry) => ({ ...entry, call: stranger.call, chain: 'c_1111111111111111111111' })),
  'intent-without-call': () => added(intent, (entry) => ({ ...entry, ...stranger })),
  'call-without-intent': () =>
    sql(
      `insert into calls select ?1, chain, task, agent, tool, effects, fingerprint, broker, null, at, outcome, settled_at
       from calls where call = ?2`,
      stranger.call,
      names.leg,
    ),
  'call-differs': () => sql("update calls set tool = 'files/read' where call = ?1", names.call),
  'outcome-not-settled': () => sql("update calls set outcome = 'failed' where call = ?1", names.call),
  'settled-without-outcome': () => (database) => {
    sql(`delete from entries where ${outcome} and call = ?1`, names.call)(database, '')
  },
  'unknown-forgotten': () => sql("update memories set unknown = '[]' where agent = 'coder'"),

  'approval-used-twice': () => added(ofCall(), (entry) => ({ ...entry, ...stranger })),
  'approval-insufficient': () =>
    added(ofCall(), (entry) => ({ ...entry, ...stranger, approval: { ...approved(entry), answers: [] } })),
  'approval-not-consumed': () => sql('update calls set ask = null where call = ?1', names.call),
  'approval-unrecorded': () => sql('update calls set ask = ?1 where call = ?2', names.refusedAsk, names.lost),
  'approval-open-again': () => sql("update asks set state = 'approved' where id = ?1", names.ask),
  'consumed-without-intent': () => sql("update asks set state = 'consumed' where id = ?1", names.refusedAsk),
  'answer-unrecorded': () =>
    sql("update asks set answers = replace(answers, 'approver', 'mallory') where id = ?1", names.ask),
  'ask-state-differs': () => sql("update asks set answers = '[]' where id = ?1", names.ask),

  'task-unrecorded': () => (database) => {
    const columns = database
      .prepare("select group_concat(name) as all_of from pragma_table_info('tasks') where name <> 'id'")
      .get()?.['all_of']
    sql(
      `insert into tasks (id, ${String(columns)}) select 't_forged', ${String(columns)} from tasks where id = ?1`,
      names.open,
    )(database, '')
  },
  'task-lost': () => sql('delete from tasks where id = ?1', names.child),
  'task-differs': () => sql("update tasks set budget = '{}' where id = ?1", names.open),
  'intent-without-task': () => added(intent, (entry) => ({ ...entry, ...stranger, task: 't_nobody' })),
  'intent-after-close': () =>
    added("kind = 'intent' and agent = 'scout'", (entry) => ({ ...entry, ...stranger })),
  'intent-after-end': () =>
    added(ofTask(names.open), (entry) => ({ ...entry, ...stranger, at: '2029-01-01T00:00:00.000Z' })),
  'budget-overspent': () => (database) => {
    const narrowed = { act: 'task-narrowed', subject: names.open }
    const opened = `kind = 'act' and task = '${names.open}'`
    added(opened, ({ detail = null, ...entry }) => ({
      ...entry,
      ...narrowed,
      detail: { ...(isJsonObject(detail) ? detail : {}), budget: { calls: 1 } },
    }))(database, '')
    added(ofTask(names.open), (entry) => ({ ...entry, ...stranger }))(database, '')
  },
  'usage-differs': () => sql(`update tasks set used = '{"calls":0,"effects":{}}' where id = ?1`, names.open),
  'history-differs': () => sql('update tasks set refused = 0 where id = ?1', names.open),
  'in-flight-differs': () => sql('update tasks set in_flight = 1 where id = ?1', names.open),
  'labels-fell': () =>
    sql(
      `update tasks set labels = '{"confidentiality":"public","integrity":"trusted","sources":[]}' where id = ?1`,
      names.open,
    ),

  'payload-differs': () =>
    sql("update payloads set bytes = cast('{}' as blob) where call = ?1 and kind = 'arguments'", names.call),
  'payload-missing': () => sql("delete from payloads where call = ?1 and kind = 'result'", names.call),
  'payload-unknown': () =>
    sql(`insert into payloads select 'sha256:strange', salt, bytes, kind, call, at from payloads limit 1`),
  'lease-of-closed-task': () => (database) => {
    database.prepare('insert into brokers values (?1, ?2)').run('b_living', far)
    sql(
      `insert into leases select 'l_forged', id, ?1, 'bank', '["bank"]', 0, 0 from tasks where agent = 'scout' and parent is null`,
      names.call,
    )(database, '')
  },
  'revocation-lost': () => sql("delete from revocations where key = 'tool:files/wipe'"),
  'revocation-unrecorded': () =>
    sql("insert into revocations values ('agent:coder', 'mallory', 'why not', 0)"),
  'agent-unrecorded': () =>
    sql(
      "insert into agents select 'mallory', replace(body, 'coder', 'mallory') from agents where name = 'coder'",
    ),
  'agent-revived': () =>
    sql(`update agents set body = replace(body, '"revoked"', '"active"') where name = 'gone'`),
  'review-unrecorded': () =>
    sql("update tools set body = replace(body, 'sha256:', 'sha256:00') where id = 'bank/pay'"),
}

describe('audit fsck', () => {
  it('finds nothing in a store that only the broker wrote to', async () => {
    const report = await look(sound)
    assert.deepEqual(report.findings, [])
    assert.equal(report.ok, true)
    const { intents, outcomes, tasks, asks } = report.checked
    assert.deepEqual([intents, outcomes, tasks, asks], [8, 8, 4, 2])
    assert.deepEqual(report.open, { living: [], waiting: [], leases: [] })
  })

  for (const [code, tamper] of Object.entries(tampers)) {
    it(`finds ${code}`, async (t) => {
      const report = await tampered(t, tamper())
      assert.ok(Object.keys(report.counts).includes(code), JSON.stringify(report.counts))
      assert.equal(report.ok, false)
    })
  }

  it('says where, and what to do', async (t) => {
    const report = await tampered(t, tampers['approval-open-again']())
    assert.deepEqual(
      report.findings.map(({ code, name, what }) => [code, name, what]),
      [['approval-open-again', names.ask, 'it was used up and is `approved`']],
    )
    assert.match(report.findings[0]?.hint ?? '', /around the broker/)
  })

  it('tells intents that wait for recovery apart from faults', async (t) => {
    const report = await tampered(t, (database) => {
      database.exec(`delete from entries where ${outcome} and call = '${names.lost}'`)
      database.prepare('update calls set outcome = null where call = ?1').run(names.lost)
    })
    assert.deepEqual(
      report.open.waiting.map(({ call }) => call),
      [names.lost],
    )
  })

  it('bounds what it shows and counts the rest', async (t) => {
    const report = await tampered(t, (database) => {
      for (let n = 0; n < 300; n += 1)
        database.prepare('insert into revocations values (?1, ?2, ?3, 0)').run(`agent:n${n}`, 'mallory', 'x')
    })
    assert.equal(report.findings.length, 200)
    assert.deepEqual(report.counts, { 'revocation-unrecorded': 300 })
  })

  it('is a command: lines for people, one value for programs, and 5 when anything was found', async (t) => {
    const home = await mkdtemp(join(tmpdir(), 'fsck-'))
    t.after(() => rm(home, { recursive: true, force: true }))
    await cp(sound, home, { recursive: true })
    const play = async (...words: readonly string[]) => {
      const said: string[] = []
      const terminal = { out: (text: string) => void said.push(text), err: () => undefined }
      const exit = await main(['audit', 'fsck', '--home', home, ...words], {
        ...terminal,
        colour: false,
        interactive: false,
      })
      return { exit, said: said.join('') }
    }
    const well = await play()
    assert.equal(well.exit, 0)
    assert.match(well.said, /^ok: \d+ entries and everything/)
    const database = new DatabaseSync(join(home, 'store', 'countersign.db'))
    database.prepare("update asks set state = 'approved' where id = ?1").run(names.ask)
    database.close()
    const ill = await play()
    assert.equal(ill.exit, 5)
    assert.match(ill.said, new RegExp(`approval-open-again .*${names.ask}.*\n  .*around the broker`))
    const told: unknown = JSON.parse((await play('--json')).said)
    assert.ok(isJsonObject(told) && isJsonObject(told['counts']))
    assert.deepEqual(told['counts'], { 'approval-open-again': 1 })
    assert.equal((await play('--home', join(home, 'none'))).exit, 1)
  })

  it('the page of the reference lists every code', async () => {
    assert.equal(pageText(findingsPage), await findingsPage.render())
    const listed = [...pageText(findingsPage).matchAll(/^\| `([\w-]+)` \|/gm)].map(([, code]) => code)
    assert.deepEqual(listed, Object.keys(findingKinds))
  })
})

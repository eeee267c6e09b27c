import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { clean } from '../../src/flow/labels.ts'
import { StoreRefused } from '../../src/store/conflict.ts'
import { migrations } from '../../src/store/migrations.ts'
import { openPostgres, viewPostgres } from '../../src/store/postgres.ts'
import { acceptLosingCommitsInACrash } from '../../src/store/postgres/durable.ts'
import { StoreUnavailable } from '../../src/store/ports.ts'
import { size } from '../../src/store/verbs/log.ts'
import {
  actEntry,
  aPayload,
  aTask,
  aTool,
  anAsk,
  intendRequest,
  refusedEntry,
  secretLabels,
  settleRequest,
} from '../../src/testing/samples.ts'
import { aCluster, aNode, listening, someNodes } from './nodes.ts'

const cluster = aCluster()
const aDatabase = () => cluster().database()

const refusedAs = (problem: string, words: RegExp) => (error: unknown) => {
  assert.ok(error instanceof StoreRefused, String(error))
  assert.equal(error.problem, problem)
  assert.match(error.message, words)
  return true
}

describe('opening a database', () => {
  it('nodes that start at once make the schema once', async () => {
    const database = await aDatabase()
    const stores = await Promise.all([1, 2, 3, 4].map(() => openPostgres({ database })))
    const rows = await cluster().admin(database, 'select version from countersign.migrations')
    assert.equal(rows.length, migrations.length)
    await Promise.all(stores.map((store) => store.close()))
  })

  it('a store that a newer or a different program wrote is refused', async () => {
    const database = await aDatabase()
    await (await openPostgres({ database })).close()
    await cluster().admin(database, "insert into countersign.migrations values (99, 'x', 0)")
    await assert.rejects(openPostgres({ database }), refusedAs('newer', /schema 99.*start the newer program/))
    await cluster().admin(database, "update countersign.migrations set checksum = 'other' where version = 1")
    await assert.rejects(openPostgres({ database }), refusedAs('changed', /made by a different program/))
  })

  it("another program's schema is refused and left as it is", async () => {
    const database = await aDatabase()
    await cluster().admin(database, 'create schema theirs; create table theirs.migrations (a int)')
    await assert.rejects(
      openPostgres({ database, schema: 'theirs' }),
      refusedAs('foreign', /another program/),
    )
    await assert.rejects(openPostgres({ database, schema: 'a"; drop' }), refusedAs('path', /small letters/))
    const tables = await cluster().admin(database, "select 1 from pg_tables where schemaname = 'theirs'")
    assert.equal(tables.length, 1)
  })

  it('a server that does not keep what it accepts is refused', async (t) => {
    const database = await aDatabase()
    const set = async (fsync: string) => {
      await cluster().admin(database, `alter system set fsync = ${fsync}`)
      await cluster().admin(database, 'select pg_reload_conf()')
    }
    t.after(() => set('on'))
    await set('off')
    await assert.rejects(openPostgres({ database }), refusedAs('server', /a crash loses commits/))
    await aNode(t, { database, [acceptLosingCommitsInACrash]: true })
  })

  it('a commit is synced whatever the database was told of commits', async (t) => {
    const database = await aDatabase()
    await cluster().admin(database, `alter database ${database.database} set synchronous_commit = off`)
    const store = await aNode(t, { database })
    await store.log.append(actEntry(), null)
  })

  it('a database that keeps text in another encoding is refused', async () => {
    const made = await aDatabase()
    const database = { ...made, database: `${made.database}_latin` }
    await cluster().admin(
      made,
      `create database ${database.database} encoding latin1 template template0 locale 'C'`,
    )
    await assert.rejects(openPostgres({ database }), refusedAs('server', /LATIN1; make one with/))
  })

  it('a wrong password is said without the password', async () => {
    const database = { ...(await aDatabase()), password: () => 'hunter2' }
    await assert.rejects(openPostgres({ database }), (error) => {
      assert.ok(error instanceof StoreUnavailable)
      assert.match(error.message, /password authentication failed/)
      assert.doesNotMatch(error.message, /hunter2/)
      return true
    })
  })

  it('who only looks changes nothing, and is told when there is nothing to look at', async (t) => {
    const database = await aDatabase()
    await assert.rejects(viewPostgres({ database }), refusedAs('path', /no store in the schema/))
    const store = await aNode(t, { database })
    await store.log.append(actEntry(), null)
    const look = await viewPostgres({ database })
    assert.equal(await look.view(size()), 1)
    await look.close()
  })
})

describe('two nodes on one database', () => {
  it('each sees what the other was told is durable', async (t) => {
    const database = await aDatabase()
    const [one, two] = [await aNode(t, { database }), await aNode(t, { database })]
    await one.tasks.open(aTask(), 0, actEntry())
    for (let n = 0; n < 20; n += 1) {
      const [here, there] = n % 2 === 0 ? [one, two] : [two, one]
      assert.equal((await here.calls.intend(intendRequest({ call: `c_${n}` }))).kind, 'intended')
      assert.equal((await there.tasks.snapshot('t_1', 0))?.usage.calls, n + 1)
      const settled = await there.calls.settle(settleRequest({ call: `c_${n}` }))
      assert.deepEqual(settled, { settled: true })
      assert.equal((await here.tasks.snapshot('t_1', 0))?.history.inFlight, 0)
    }
  })

  it('do not overspend one budget together, nor that of a task above', async (t) => {
    const database = await aDatabase()
    const on = await someNodes(t, 2, { database })
    await on(0).tasks.open(aTask({ id: 't_up', agent: 'above', budget: { calls: 7 } }), 0, actEntry())
    for (const id of ['t_a', 't_b'])
      await on(0).tasks.open(aTask({ id, agent: `of ${id}`, parent: 't_up' }), 0, actEntry())
    const kinds = await Promise.all(
      Array.from({ length: 40 }, async (_, n) => {
        const task = n % 4 < 2 ? 't_a' : 't_b'
        const request = intendRequest({ call: `c_${n}`, task, agent: `of ${task}` })
        return (await on(n % 2).calls.intend(request)).kind
      }),
    )
    assert.equal(kinds.filter((kind) => kind === 'intended').length, 7)
    assert.equal((await on(0).tasks.snapshot('t_up', 0))?.usage.calls, 7)
  })

  it('consume an approval once', async (t) => {
    const database = await aDatabase()
    const on = await someNodes(t, 2, { database })
    await on(0).tasks.open(aTask(), 0, actEntry())
    for (let round = 0; round < 10; round += 1) {
      const ask = anAsk({ id: `a_${round}`, digest: `d_${round}` })
      await on(0).approvals.ask(ask)
      const answer = { by: 'operator', proof: 'passkey', answer: 'approve', reason: '', at: 2500 } as const
      await on(1).approvals.answer(ask.id, answer, actEntry())
      const kinds = await Promise.all(
        [0, 1, 0, 1].map(async (node, n) => {
          const request = intendRequest({ call: `c_${round}_${n}`, ask: ask.id, at: 3000 })
          return (await on(node).calls.intend(request)).kind
        }),
      )
      assert.deepEqual(kinds.filter((kind) => kind === 'intended').length, 1)
    }
  })

  it('ask a person once for two equal calls, and no more often than an agent may ask', async (t) => {
    const database = await aDatabase()
    const on = await someNodes(t, 2, { database, pendingPerAgent: 3 })
    await on(0).tasks.open(aTask(), 0, actEntry())
    const equal = await Promise.all(
      [0, 1, 0, 1].map((node, n) => on(node).approvals.ask(anAsk({ id: `a_equal_${n}`, digest: 'd' }))),
    )
    assert.equal(new Set(equal.map((made) => made.ok && made.ask.id)).size, 1)
    const others = await Promise.all(
      Array.from({ length: 12 }, (_, n) =>
        on(n % 2).approvals.ask(anAsk({ id: `a_${n}`, digest: `d_${n}` })),
      ),
    )
    assert.equal(others.filter((made) => made.ok).length, 2)
  })

  it('lose no label, whichever node an answer came to', async (t) => {
    const database = await aDatabase()
    const on = await someNodes(t, 2, { database })
    await on(0).tasks.open(aTask(), 0, actEntry())
    await on(0).tasks.open(aTask({ id: 't_beside' }), 0, actEntry())
    const calls = Array.from({ length: 14 }, (_, n) => `c_${n}`)
    await Promise.all(calls.map((call, n) => on(n % 2).calls.intend(intendRequest({ call }))))
    await Promise.all(
      calls.map((call, n) =>
        on(n % 2).calls.settle(settleRequest({ call, raise: { ...clean, sources: [`s/${n}`] } })),
      ),
    )
    const sources = calls.map((_, n) => `s/${n}`).sort()
    assert.deepEqual((await on(0).tasks.snapshot('t_1', 0))?.labels.sources, sources)
    // One agent is one memory: its other open task knows what this one read.
    assert.deepEqual((await on(1).tasks.snapshot('t_beside', 0))?.labels.sources, sources)
  })

  it('give every entry an index of its own, without a gap', async (t) => {
    const database = await aDatabase()
    const on = await someNodes(t, 3, { database })
    await Promise.all(
      Array.from({ length: 300 }, async (_, n) => {
        const entry = n % 10 === 0 ? actEntry() : refusedEntry({ call: `c_${n}`, code: 'fault' })
        // An act that holds the lock of everything, now and then.
        if (n % 10 === 0) await on(n % 3).settings.put(`s_${n}`, { n }, entry)
        else await on(n % 3).log.append(entry, null)
      }),
    )
    const indexes = (await on(0).log.read(0, 1024)).map(({ index }) => index)
    assert.deepEqual(
      indexes,
      Array.from({ length: 300 }, (_, n) => n),
    )
  })

  it('no call slips in between a revocation on one node and a commit on the other', async (t) => {
    const database = await aDatabase()
    const [one, two] = [await aNode(t, { database }), await aNode(t, { database })]
    await one.tasks.open(aTask(), 0, actEntry())
    for (let round = 0; round < 10; round += 1) {
      const heads = await two.heads()
      const [intended, epoch] = await Promise.all([
        two.calls.intend(
          intendRequest({
            call: `c_${round}`,
            expect: { labels: null, history: null, memory: null, person: null, heads },
          }),
        ),
        one.revocations.add({ key: `agent:${round}`, by: 'operator', reason: '', at: 1 }, actEntry()),
      ])
      const entries = await two.log.read(0, 1024)
      const kinds = entries.map(({ bytes }) => `${JSON.parse(`${Buffer.from(bytes)}`).kind}`)
      // Either the call was durable before the revocation was, or it was not made.
      assert.equal(kinds.at(-1), 'act')
      if (intended.kind === 'intended') assert.equal(kinds.at(-2), 'intent')
      else assert.equal(intended.kind, 'moved')
      assert.equal((await two.heads()).revocations, epoch)
      if (intended.kind === 'intended') await two.calls.settle(settleRequest({ call: `c_${round}` }))
      await one.settings.put('between', {}, actEntry())
    }
  })

  it('a sub-task that another node opened is charged to the tasks above it', async (t) => {
    const database = await aDatabase()
    const [one, two] = [await aNode(t, { database }), await aNode(t, { database })]
    await one.tasks.open(aTask({ id: 't_up', agent: 'above' }), 0, actEntry())
    await one.tasks.open(aTask({ id: 't_down', agent: 'below', parent: 't_up' }), 0, actEntry())
    await two.calls.intend(intendRequest({ task: 't_down', agent: 'below' }))
    await one.calls.settle(settleRequest({ task: 't_down', raise: secretLabels('a/b') }))
    const up = await two.tasks.snapshot('t_up', 0)
    assert.deepEqual([up?.usage.calls, up?.labels], [1, secretLabels('a/b')])
  })
})

describe('news', () => {
  it('reach the other node and not the one that made them', async (t) => {
    const database = await aDatabase()
    const [one, two] = [await aNode(t, { database }), await aNode(t, { database })]
    const [own, other] = [listening(one), listening(two)]
    await one.tasks.open(aTask(), 0, actEntry())
    await one.approvals.ask(anAsk())
    assert.deepEqual(await other.first('ask'), { kind: 'ask', id: 'a_1' })
    const answer = { by: 'operator', proof: 'passkey', answer: 'approve', reason: '', at: 2500 } as const
    await one.approvals.answer('a_1', answer, actEntry())
    assert.deepEqual(await other.first('answer'), { kind: 'answer', id: 'a_1' })
    await one.registry.putTools([{ to: aTool(), was: null }], actEntry())
    assert.deepEqual(await other.first('heads'), { kind: 'heads' })
    await one.tasks.close('t_1', 'done', 3000, actEntry())
    assert.deepEqual(await other.first('tasks-closed'), { kind: 'tasks-closed', ids: ['t_1'] })
    assert.deepEqual(own.heard, [])
  })

  it('of what was undone are not told', async (t) => {
    const database = await aDatabase()
    const [one, two] = [await aNode(t, { database }), await aNode(t, { database })]
    const { heard, first } = listening(two)
    await one.tasks.open(aTask(), 0, actEntry())
    await assert.rejects(one.tasks.close('t_1', 'done', 3000, new Uint8Array([1])))
    await one.approvals.ask(anAsk())
    await first('ask')
    assert.deepEqual(
      heard.map(({ kind }) => kind),
      ['ask'],
    )
  })

  it('stay in their own schema', async (t) => {
    const database = await aDatabase()
    const [one, two] = [await aNode(t, { database }), await aNode(t, { database, schema: 'elsewhere' })]
    const three = await aNode(t, { database })
    const elsewhere = listening(two)
    const here = listening(three)
    await one.settings.put('x', {}, null)
    await one.revocations.add({ key: 'agent:x', by: 'operator', reason: '', at: 1 }, actEntry())
    await here.first('heads')
    assert.deepEqual(elsewhere.heard, [])
  })

  it('say that some were missed when the line was down', async (t) => {
    const database = await aDatabase()
    const store = await aNode(t, { database, broker: 'listens' })
    const { first } = listening(store)
    await cluster().admin(
      database,
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query like 'listen%'",
    )
    assert.deepEqual(await first('missed'), { kind: 'missed' })
    const other = await aNode(t, { database })
    await other.revocations.add({ key: 'agent:x', by: 'operator', reason: '', at: 1 }, actEntry())
    await first('heads')
  })
})

/** Its task is not there, which only the database finds. */
const aHold = {
  call: 'c',
  task: 't_none',
  agent: 'a',
  ask: 'x',
  expiresAt: 1,
  wanted: { server: 's', operation: 'call', name: 'n' },
  arguments: {},
}

describe('writing to a database', () => {
  it('what the database refuses when everything was sent is undone alone', async (t) => {
    const store = await aNode(t, { database: await aDatabase() })
    const results = await Promise.allSettled([
      store.log.append(actEntry(), null),
      store.calls.hold(aHold),
      store.log.append(actEntry(), null),
    ])
    assert.deepEqual(
      results.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    )
    assert.equal(await store.log.size(), 2)
  })

  it('a change that throws is undone alone; its neighbours in the batch are kept', async (t) => {
    const store = await aNode(t, { database: await aDatabase() })
    const results = await Promise.allSettled([
      store.log.append(actEntry(), null),
      store.tasks.open(aTask({ id: 't_orphan', parent: 't_none' }), 0, actEntry()),
      store.log.append(actEntry(), null),
      store.calls.hold(aHold),
      store.log.append(new Uint8Array([1]), null),
      store.log.append(actEntry(), null),
    ])
    assert.deepEqual(
      results.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled', 'rejected', 'rejected', 'fulfilled'],
    )
    assert.equal(await store.log.size(), 3)
  })

  it('a queue that is full refuses instead of growing, and so do its bytes', async (t) => {
    const database = await aDatabase()
    const store = await aNode(t, { database, maxQueued: 10, maxQueuedBytes: 100_000 })
    const results = await Promise.allSettled(
      Array.from({ length: 15 }, () => store.log.append(actEntry(), null)),
    )
    assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 10)
    for (const one of results)
      if (one.status === 'rejected') assert.ok(one.reason instanceof StoreUnavailable)
    const big = { ...aPayload('big'), bytes: new Uint8Array(99_000) }
    await assert.rejects(store.log.append(refusedEntry({}), big), StoreUnavailable)
    await store.log.append(refusedEntry({}), aPayload('small'))
    assert.equal(await store.log.size(), 11)
  })

  it('closing lets what was asked for be written, and refuses what comes after', async () => {
    const database = await aDatabase()
    const store = await openPostgres({ database })
    const writes = Array.from({ length: 20 }, () => store.log.append(actEntry(), null))
    const closed = store.close()
    await assert.rejects(store.log.append(actEntry(), null), StoreUnavailable)
    await assert.rejects(store.log.size(), StoreUnavailable)
    assert.equal((await Promise.all(writes)).length, 20)
    await closed
    await store.close()
    const [row] = await cluster().admin(database, 'select count(*)::int as n from countersign.entries')
    assert.equal(row?.['n'], 20)
    const [left] = await cluster().admin(
      database,
      "select count(*)::int as n from pg_stat_activity where datname = current_database() and application_name like 'countersign%'",
    )
    assert.equal(left?.['n'], 0)
  })

  it('what was erased is in no table any more', async (t) => {
    const database = await aDatabase()
    const store = await aNode(t, { database })
    await store.tasks.open(aTask(), 0, actEntry())
    await store.approvals.ask(anAsk({ arguments: { word: 'swordfish' } }))
    await store.calls.intend(
      intendRequest({ payload: { ...aPayload('p'), bytes: Buffer.from('swordfish') } }),
    )
    const found = async (): Promise<string> => {
      const tables = await cluster().admin(
        database,
        "select tablename::text as name from pg_tables where schemaname = 'countersign' order by 1",
      )
      const hits: unknown[] = []
      for (const { name } of tables) {
        const [row] = await cluster().admin(
          database,
          `select exists (select from countersign.${String(name)} t where t::text like '%swordfish%'
             or t::text like '%${Buffer.from('swordfish').toString('hex')}%')::int as hit`,
        )
        if (row?.['hit'] === 1) hits.push(name)
      }
      return hits.join()
    }
    assert.equal(await found(), 'asks,payloads')
    assert.equal(
      await store.log.erase({ commitment: 'sha256:p' }, actEntry({ at: '2100-01-01T00:00:00.000Z' })),
      1,
    )
    assert.equal(await found(), '')
  })
})

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Review, Tool } from '../../registry/tool.ts'
import { StoreConflict, StoreMoved } from '../../store/conflict.ts'
import type { ServerRecord } from '../../store/ports.ts'
import { actEntry, aTask, aTool, anAgent, intendRequest, noHeads, settleRequest } from '../samples.ts'
import { fixture } from './fixture.ts'
import type { Fixture, OpenStore } from './fixture.ts'

export function restContract(open: OpenStore): void {
  describe('agents, registry, revocations, secrets and settings', () => {
    const at = fixture(open)
    agentsContract(at)
    registryContract(at)
    policiesContract(at)
    lateContract(at)
    proofsContract(at)
    revocationsContract(at)
    secretsContract(at)
    settingsContract(at)
  })
}

function agentsContract({ store }: Fixture): void {
  it('a name is given to one agent', async () => {
    assert.deepEqual(await store().agents.add(anAgent(), actEntry()), { ok: true })
    const size = await store().log.size()
    assert.deepEqual(await store().agents.add(anAgent({ owner: 'thief' }), actEntry()), { ok: false })
    assert.equal(await store().log.size(), size)
    assert.deepEqual(await store().agents.get('worker'), anAgent())
    await store().agents.update(anAgent({ state: 'revoked' }), actEntry())
    assert.deepEqual(await store().agents.list(), [anAgent({ state: 'revoked' })])
    assert.equal(await store().agents.get('nobody'), null)
    await assert.rejects(store().agents.update(anAgent({ name: 'nobody' }), actEntry()), StoreConflict)
  })
}

const aReview = (digest: string): Review => ({
  digest,
  effects: ['read'],
  environment: 'development',
  confidentiality: 'internal',
  integrity: 'untrusted',
  targets: {},
  reviewer: 'operator',
  at: '2026-01-01T00:00:00.000Z',
})

const aServer = (view: ServerRecord['view']): ServerRecord => ({
  name: 'files',
  config: { command: 'files' },
  source: 'config',
  environment: 'development',
  state: 'active',
  view,
})

const aView: NonNullable<ServerRecord['view']> = {
  resources: [],
  capabilities: {},
  serverInfo: { name: 'files' },
  era: 'modern',
  protocolVersion: '2026-07-28',
}

function registryContract({ store }: Fixture): void {
  it('every change moves the version, and an unchanged view does not', async () => {
    const versions = [await store().registry.version()]
    const note = async () => versions.push(await store().registry.version())
    await store().registry.putServer({ to: aServer(null), was: null }, actEntry())
    await note()
    await store().registry.putTools([{ to: aTool(), was: null }], actEntry())
    await note()
    await store().registry.putView('files', aView)
    await note()
    assert.equal(new Set(versions).size, 4)
    await store().registry.putView('files', aView)
    assert.equal(await store().registry.version(), versions.at(-1))
    assert.deepEqual(await store().registry.servers(), [aServer(aView)])
    await assert.rejects(store().registry.putView('nowhere', aView), StoreConflict)
  })

  it('a review pins the definition that was shown and no other', async () => {
    assert.deepEqual(await store().registry.review('files/none', aReview('sha256:one'), actEntry()), {
      ok: false,
      problem: 'unknown-tool',
    })
    assert.deepEqual(await store().registry.review('files/read', aReview('sha256:two'), actEntry()), {
      ok: false,
      problem: 'digest-moved',
    })
    assert.deepEqual(await store().registry.tools(), [aTool()])
    assert.deepEqual(await store().registry.review('files/read', aReview('sha256:one'), actEntry()), {
      ok: true,
    })
    const reviewed = aTool({ state: 'reviewed', pinned: aTool().definition, review: aReview('sha256:one') })
    assert.deepEqual(await store().registry.tools(), [reviewed])
  })

  it('a removed tool stays as a tombstone that no review brings back', async () => {
    const gone = aTool({ id: 'files/gone', name: 'gone', state: 'removed' })
    await store().registry.putTools([{ to: gone, was: null }], actEntry())
    assert.deepEqual(await store().registry.review('files/gone', aReview('sha256:one'), actEntry()), {
      ok: false,
      problem: 'unknown-tool',
    })
    assert.ok((await store().registry.tools()).some(({ id }) => id === 'files/gone'))
  })
}

function policiesContract({ store }: Fixture): void {
  it('a set that is put is live for everyone, and moves the head that calls are compared with', async () => {
    const before = await store().heads()
    const set = { version: 'sha256:1', over: 'sha256:0', files: [{ name: 'a.cedar', text: 'permit …' }] }
    const head = await store().policies.put(set, actEntry())
    assert.equal(head, before.policies + 1)
    assert.deepEqual(await store().policies.live(), { head, set })
    assert.deepEqual(await store().heads(), { ...before, policies: head })
  })

  it('a call that was decided on an older registry or policy set is decided again', async () => {
    await store().tasks.open(aTask({ id: 't_headed' }), 0, actEntry())
    const heads = await store().heads()
    const kind = async (call: string, moved: object) =>
      (
        await store().calls.intend(
          intendRequest({
            call,
            task: 't_headed',
            expect: {
              labels: null,
              history: null,
              memory: null,
              person: null,
              heads: { ...heads, ...moved },
            },
          }),
        )
      ).kind
    assert.equal(await kind('c_h1', { policies: heads.policies - 1 }), 'moved')
    assert.equal(await kind('c_h2', { registry: heads.registry - 1 }), 'moved')
    assert.equal(await kind('c_h3', {}), 'intended')
  })

  it('a tool that another node changed meanwhile is not overwritten', async () => {
    const seen = aTool({ id: 'files/shared', name: 'shared' })
    await store().registry.putTools([{ to: seen, was: null }], actEntry())
    const theirs: Tool = { ...seen, digest: 'sha256:theirs' }
    await store().registry.putTools([{ to: theirs, was: seen }], actEntry())
    const size = await store().log.size()
    await assert.rejects(
      store().registry.putTools([{ to: { ...seen, state: 'reviewed' }, was: seen }], actEntry()),
      StoreMoved,
    )
    assert.deepEqual(
      (await store().registry.tools()).find(({ id }) => id === 'files/shared'),
      theirs,
    )
    assert.equal(await store().log.size(), size)
  })
}

function lateContract({ store }: Fixture): void {
  it('an answer is not settled on what was known before a revocation or the end of its task', async () => {
    const settle = (call: string, task: string, revocations: number | null) =>
      store().calls.settle(
        settleRequest({ call, task, expect: revocations === null ? null : { revocations } }),
      )
    await store().tasks.open(aTask({ id: 't_late' }), 0, actEntry())
    const heads = await store().heads()
    const expect = { labels: null, history: null, memory: null, person: null, heads }
    for (const call of ['c_l1', 'c_l2'])
      await store().calls.intend(intendRequest({ call, task: 't_late', expect }))
    const first = await settle('c_l1', 't_late', heads.revocations - 1)
    assert.deepEqual(first, { problem: 'moved', heads, ended: null })
    assert.equal('problem' in (await settle('c_l1', 't_late', heads.revocations)), false)
    await store().tasks.close('t_late', 'done', 2000, actEntry())
    const second = await settle('c_l2', 't_late', heads.revocations)
    assert.deepEqual(second, { problem: 'moved', heads, ended: 't_late' })
    assert.equal('problem' in (await settle('c_l2', 't_late', null)), false)
    assert.ok((await store().tasks.closedSince(2000)).includes('t_late'))
    assert.equal((await store().tasks.closedSince(2001)).includes('t_late'), false)
  })
}

function proofsContract({ store }: Fixture): void {
  const proof = (id: string, more: object = {}) => ({ agent: 'prover', id, until: 1000, now: 500, ...more })
  it('a proof counts once, whoever asks at the same time', async () => {
    const at = store().agents
    const told = await Promise.all([1, 2, 3].map(() => at.useProof(proof('one'))))
    assert.equal(told.filter(Boolean).length, 1)
    assert.equal(await at.useProof(proof('one', { agent: 'another' })), true)
    assert.equal(await at.useProof(proof('one', { now: 1001, until: 2000 })), true, 'it had expired')
  })

  it('what could not be remembered does not count', async () => {
    const at = store().agents
    const all = Array.from({ length: 300 }, (_, i) => at.useProof(proof(`p${i}`, { agent: 'many' })))
    assert.equal((await Promise.all(all)).filter(Boolean).length, 256)
    assert.equal(await at.useProof(proof('later', { agent: 'many', now: 1001, until: 2000 })), true)
  })
}

function revocationsContract({ store }: Fixture): void {
  it('a revocation between the decision and the commit point stops the call', async () => {
    await store().tasks.open(aTask({ id: 't_revoked' }), 0, actEntry())
    const { epoch } = await store().revocations.all()
    const revocation = { key: 'agent:other', by: 'operator', reason: 'lost', at: 3000 }
    const next = await store().revocations.add(revocation, actEntry())
    assert.ok(next > epoch)
    assert.deepEqual(await store().revocations.all(), { epoch: next, revocations: [revocation] })
    const heads = async () => (await store().tasks.snapshot('t_revoked', 0))?.heads ?? noHeads
    const expect = {
      labels: null,
      history: null,
      memory: null,
      person: null,
      heads: { ...(await heads()), revocations: epoch },
    }
    assert.deepEqual(await store().calls.intend(intendRequest({ call: 'c_r1', task: 't_revoked', expect })), {
      kind: 'moved',
    })
    const again = await store().calls.intend(
      intendRequest({ call: 'c_r2', task: 't_revoked', expect: { ...expect, heads: await heads() } }),
    )
    assert.equal(again.kind, 'intended')
    const lifted = await store().revocations.lift('agent:other', actEntry())
    assert.ok(lifted > next)
    assert.equal(await store().revocations.lift('agent:other', actEntry()), lifted)
    assert.deepEqual(await store().revocations.all(), { epoch: lifted, revocations: [] })
  })
}

function secretsContract({ store }: Fixture): void {
  it('sealed bytes come back as they were, names are listed without them, removal is an act', async () => {
    const secret = { name: 'token', sealed: new Uint8Array([0, 1, 255]), at: 5 }
    await store().secrets.put(secret, actEntry())
    assert.deepEqual(await store().secrets.get('token'), secret)
    await store().secrets.put({ ...secret, at: 6 }, actEntry())
    assert.deepEqual(await store().secrets.list(), [{ name: 'token', at: 6 }])
    assert.equal(await store().secrets.remove('token', actEntry()), true)
    assert.equal(await store().secrets.get('token'), null)
    assert.equal(await store().secrets.remove('token', actEntry()), false)
  })

  it('leases are open until closed, and closing again is no fault', async () => {
    const lease = {
      id: 'l_1',
      task: 't_1',
      call: 'c_1',
      server: 'files',
      secrets: ['token'],
      at: 1,
      until: 2,
    }
    await store().secrets.openLease(lease)
    assert.deepEqual(await store().secrets.openLeases(), [
      { id: 'l_1', task: 't_1', server: 'files', secrets: ['token'], broker: null },
    ])
    assert.equal((await store().secrets.openLeases({ task: 't_1' })).length, 1)
    assert.deepEqual(await store().secrets.openLeases({ task: 't_2' }), [])
    await store().tasks.open(aTask({ id: 't_over' }), 0, actEntry())
    await store().secrets.openLease({ ...lease, id: 'l_2', task: 't_over' })
    assert.deepEqual(await store().secrets.openLeases({ closed: true }), [])
    await store().tasks.close('t_over', 'test', 3, actEntry())
    const left = await store().secrets.openLeases({ closed: true })
    assert.deepEqual(
      left.map(({ id }) => id),
      ['l_2'],
    )
    await store().secrets.closeLease('l_2', 4)
    await store().secrets.closeLease('l_1', 2)
    await store().secrets.closeLease('l_1', 2)
    assert.deepEqual(await store().secrets.openLeases(), [])
  })
}

function settingsContract({ store }: Fixture): void {
  it('settings are kept by name', async () => {
    assert.equal(await store().settings.get('passphrase'), null)
    await store().settings.put('passphrase', { version: 'sha256:1' }, actEntry())
    await store().settings.put('passphrase', { version: 'sha256:2' }, null)
    assert.deepEqual(await store().settings.get('passphrase'), { version: 'sha256:2' })
  })

  it('brokers live while they beat', async () => {
    await store().settings.beat('b_one', 1000)
    await store().settings.beat('b_two', 5000)
    assert.deepEqual(await store().settings.living(6000, 5000), ['b_one', 'b_two'])
    assert.deepEqual(await store().settings.living(6001, 5000), ['b_two'])
    await store().settings.beat('b_one', 7000)
    assert.deepEqual(await store().settings.living(6001, 5000), ['b_one', 'b_two'])
    assert.deepEqual(await store().settings.beats(), [
      { broker: 'b_one', at: 7000 },
      { broker: 'b_two', at: 5000 },
    ])
  })
}

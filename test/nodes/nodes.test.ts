import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { callTool } from './calls.ts'
import { loadAgentKey } from '../../src/identity/key.ts'
import { signProof } from '../../src/identity/proof.ts'
import type { JsonObject } from '../../src/lib/json.ts'
import { pair, type Pair } from './world.ts'
import type { World } from '../world.ts'

const by = { name: 'operator', proof: 'terminal' } as const

const allow = (when = 'true') =>
  `@id("all") @reason("a test") permit (principal, action, resource) when { ${when} };`
const asking = `${allow()}
@id("asks") @reason("it changes something") forbid (principal, action in Action::"effect:write", resource)
unless { context has approval };`

describe('two nodes on one PostgreSQL', () => {
  let p: Pair
  let a: World
  let b: World
  const policy = async (on: World, text: string) => {
    const swapped = await on.broker.core.policySet.swap([{ name: 'test.cedar', text }], by)
    assert.ok(swapped.ok, JSON.stringify(swapped))
  }
  before(async () => {
    p = await pair({ agents: { agent: {}, spender: { task: { budget: { calls: 7 } } } } })
    ;[a, b] = p.nodes
    await a.reviewAll()
    await policy(a, allow())
  })
  after(() => p.close())

  it('what was reviewed on one can be called on the other, at once and with the same token', async () => {
    const token = await a.token()
    assert.equal((await callTool(a, token, 'playground__notes_search', { words: 'plan' })).ok, true)
    assert.equal((await callTool(b, token, 'playground__notes_search', { words: 'plan' })).ok, true)
  })

  it('I4: a policy that was swapped on one is what the other decides its next call by', async () => {
    const token = await a.token()
    for (const [on, other] of [
      [a, b],
      [b, a],
    ] as const) {
      await policy(on, allow('resource.name == "nothing"'))
      const refused = await callTool(other, token, 'playground__notes_search', { words: 'plan' })
      assert.match(refused.text, /denied|not allowed|policy/i)
      await policy(on, allow())
      const allowed = await callTool(other, token, 'playground__notes_search', { words: 'plan' })
      assert.equal(allowed.ok, true)
    }
  })

  it('what was revoked on one is refused by the other at its next call, and let in again when it is lifted', async () => {
    const token = await a.token()
    await a.broker.core.revocations.revoke({ key: 'tool:playground/notes_search', reason: 'test' }, by)
    const refused = await callTool(b, token, 'playground__notes_search', { words: 'plan' })
    assert.equal(refused.ok, false)
    await a.broker.core.revocations.lift({ key: 'tool:playground/notes_search', reason: 'test' }, by)
    assert.equal((await callTool(b, token, 'playground__notes_search', { words: 'plan' })).ok, true)
  })

  it('a tool that was rejected on one is in quarantine on the other at its next call', async () => {
    const token = await a.token()
    const tool = a.broker.core.registry.tool('playground/notes_search')
    assert.ok(tool !== null)
    await a.broker.core.registry.reject({ id: tool.id, digest: tool.digest, by })
    assert.equal((await callTool(b, token, 'playground__notes_search', { words: 'plan' })).ok, false)
    await b.reviewAll()
    assert.equal((await callTool(a, token, 'playground__notes_search', { words: 'plan' })).ok, true)
  })

  it('an ask that was raised on one and answered on the other wakes the call that is held', async () => {
    await policy(a, asking)
    const token = await a.token()
    const held = callTool(a, token, 'playground__notes_add', { title: 'one', text: 'two' })
    const ask = await b.nextAsk()
    assert.ok((await b.answer(ask, 'approve')).ok)
    assert.equal((await held).ok, true)
    await policy(a, allow())
  })

  it('a task that ended on one makes no more calls on the other', async () => {
    const { broker } = a
    const opened = await broker.core.tasks.open({ agent: 'agent', by: 'person', words: 'test' }, by)
    assert.ok(opened.ok)
    assert.ok((await b.broker.core.tasks.current(opened.task.id, 'agent')).ok)
    await broker.core.tasks.close(opened.task.id, 'done', by)
    assert.equal((await b.broker.core.tasks.current(opened.task.id, 'agent')).ok, false)
  })

  it('news of revocations reach a node that is not asked anything', async () => {
    const told = new Promise<string>((resolve) => {
      const stop = b.broker.core.revocations.onChange(({ kind, key }) => {
        stop()
        resolve(`${kind} ${key}`)
      })
    })
    const watched = b.broker.core.revocations.watch(['secret:unused'])
    await a.broker.core.revocations.revoke({ key: 'secret:unused', reason: 'test' }, by)
    assert.equal(await told, 'revoked secret:unused')
    assert.equal(watched.signal.aborted, true)
    await b.broker.core.revocations.lift({ key: 'secret:unused', reason: 'test' }, by)
  })

  it('a budget is spent once, whichever node its calls come to', async () => {
    const token = await a.token('spender')
    const calls = Array.from({ length: 20 }, (_, i) =>
      callTool(i % 2 === 0 ? a : b, token, 'playground__notes_search', { words: `${i}` }),
    )
    const done = (await Promise.all(calls)).filter(({ ok }) => ok)
    assert.equal(done.length, 7)
  })

  it('a proof that was used at one is not taken by the other', async () => {
    const key = await loadAgentKey(a.home, 'agent')
    const audience = `${a.broker.urls.agents}/token`
    const proof = await signProof({ agent: 'agent', key, audience, now: Date.now() })
    const ask = async ({ broker }: World) =>
      (
        await fetch(new URL('/token', broker.here.agents), {
          method: 'POST',
          body: new URLSearchParams({
            grant_type: 'client_credentials',
            client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
            client_assertion: proof,
          }),
        })
      ).status
    assert.deepEqual([await ask(a), await ask(b)], [200, 401])
  })

  it('the log of both is one, and it is whole', async () => {
    const entries = await a.entries()
    assert.equal(new Set(entries.map(({ broker }) => broker)).size, 2)
    const told = (all: readonly JsonObject[]) => all.map((entry) => JSON.stringify(entry))
    assert.ok(
      told(await b.entries())
        .join('\n')
        .startsWith(told(entries).join('\n')),
    )
    assert.deepEqual([a.faults, b.faults], [[], []])
  })
})

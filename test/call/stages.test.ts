import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { refusals } from '../../src/call/refusal.ts'
import { wireRefused } from '../../src/door/wire.ts'
import { demandInvariants, demandVerified } from './invariants.ts'
import {
  askOf,
  endOf,
  field,
  hang,
  offer,
  operator,
  pathWorld,
  review,
  text,
  type PathWorld,
  type Script,
  type Wanting,
} from './world.ts'
import type { JsonObject } from '../../src/lib/json.ts'
import type { Refused } from '../../src/call/refusal.ts'
import type { Settled } from '../../src/call/states.ts'

/** Each way in which a stage can say no: its code, its entry, and that nothing reached a server. */

let w: PathWorld
before(async () => void (w = await pathWorld({ pendingPerAgent: 4, environment: 'test' })))
after(() => w.close())

type Case = {
  readonly title: string
  readonly stage: string
  readonly code: keyof typeof refusals
  /** Makes the refusal. */
  readonly given: () => Promise<{ readonly end: Settled | Refused; readonly call?: string }>
}

const args = { path: 'notes.txt', text: 'hello' }
let made = 0
const fresh = (): JsonObject => ({ path: `notes-${(made += 1)}.txt` })
const one = async (tool: string, input: JsonObject = fresh(), wanting: Wanting = {}) => ({
  end: await w.call(await w.open(), tool, input, wanting),
})
/** Runs while `act` is in force and takes it back. */
async function whileRevoked<Result>(key: string, work: () => Promise<Result>): Promise<Result> {
  await w.core.revocations.revoke({ key, reason: 'test' }, operator)
  try {
    return await work()
  } finally {
    await w.core.revocations.lift({ key, reason: 'test' }, operator)
  }
}
const bearer = (token: string): Wanting => ({ credential: { kind: 'bearer', token } })

const cases: readonly Case[] = [
  {
    title: 'a call without a token',
    stage: 'authenticate',
    code: 'unauthenticated',
    given: () => one('files/read', args, { credential: { kind: 'none' } }),
  },
  {
    title: 'a call of a revoked agent',
    stage: 'authenticate',
    code: 'revoked',
    given: async () => {
      const task = await w.open({ agent: 'scout' })
      return whileRevoked('agent:scout', async () => ({ end: await w.call(task, 'files/read') }))
    },
  },
  {
    title: 'a call after the kill switch',
    stage: 'authenticate',
    code: 'revoked',
    given: async () => {
      const task = await w.open()
      return whileRevoked('all', async () => ({ end: await w.call(task, 'files/read') }))
    },
  },
  {
    title: "a token that names another agent's task",
    stage: 'bind',
    code: 'no-task',
    given: async () => {
      const task = await w.open()
      const stolen = await w.token({ id: task.id, agent: 'scout', owner: 'owner' })
      return { end: await w.call(await w.open(), 'files/read', args, bearer(stolen)) }
    },
  },
  {
    title: 'a call of a revoked task',
    stage: 'bind',
    code: 'revoked',
    given: async () => {
      const task = await w.open()
      return whileRevoked(`task:${task.id}`, async () => ({ end: await w.call(task, 'files/read') }))
    },
  },
  {
    title: 'a call of a sub-task whose parent is revoked',
    stage: 'bind',
    code: 'revoked',
    given: async () => {
      const parent = await w.open()
      const task = await w.open({ parent: parent.id })
      return whileRevoked(`task:${parent.id}`, async () => ({ end: await w.call(task, 'files/read') }))
    },
  },
  {
    title: 'a call of a closed task',
    stage: 'bind',
    code: 'task-closed',
    given: async () => {
      const task = await w.open()
      await w.core.tasks.close(task.id, 'done', operator)
      return { end: await w.call(task, 'files/read') }
    },
  },
  {
    title: 'a call of an expired task that nobody has closed yet',
    stage: 'bind',
    code: 'task-closed',
    given: async () => {
      const task = await w.open({ lifetimeMs: 1000 })
      w.clock.move(1001)
      return { end: await w.call(task, 'files/read') }
    },
  },
  {
    title: 'a call of an idle task',
    stage: 'bind',
    code: 'task-closed',
    given: async () => {
      const task = await w.open({ idleMs: 1000 })
      w.clock.move(1001)
      return { end: await w.call(task, 'files/read') }
    },
  },
  {
    title: 'a call of a task that was opened in another environment',
    stage: 'bind',
    code: 'context-changed',
    given: () =>
      one('files/read', args, {
        ports: { settings: { ...w.ports.settings, context: () => ({ environment: 'production' }) } },
      }),
  },
  {
    title: 'a call more than the budget',
    stage: 'bind',
    code: 'budget-spent',
    given: async () => {
      const task = await w.open({ budget: { calls: 1 } })
      assert.equal(endOf(await w.call(task, 'files/read')), 'ok')
      return { end: await w.call(task, 'files/read') }
    },
  },
  {
    title: "a call more than the parent's budget",
    stage: 'bind',
    code: 'budget-spent',
    given: async () => {
      const parent = await w.open({ budget: { calls: 2 } })
      const task = await w.open({ parent: parent.id })
      assert.equal(endOf(await w.call(parent, 'files/read')), 'ok')
      assert.equal(endOf(await w.call(parent, 'files/read')), 'ok')
      return { end: await w.call(task, 'files/read') }
    },
  },
  {
    title: 'a call of an effect that the budget has no more of',
    stage: 'intend',
    code: 'budget-spent',
    given: async () => {
      const task = await w.open({ budget: { effects: { execute: 0 } } })
      return { end: await w.call(task, 'files/note') }
    },
  },
  {
    title: 'a tool that does not exist',
    stage: 'resolve',
    code: 'unknown-tool',
    given: () => one('files/nothing'),
  },
  {
    title: 'a tool outside the task',
    stage: 'resolve',
    code: 'unknown-tool',
    given: async () => ({ end: await w.call(await w.open({ tools: ['files/*'] }), 'mail/send') }),
  },
  {
    title: 'a tool that the parent was narrowed away from',
    stage: 'resolve',
    code: 'unknown-tool',
    given: async () => {
      const parent = await w.open()
      const task = await w.open({ parent: parent.id })
      await w.core.tasks.narrow(parent.id, { tools: ['mail/*'] }, operator)
      return { end: await w.call(task, 'files/read') }
    },
  },
  {
    title: 'a tool whose definition has changed',
    stage: 'resolve',
    code: 'quarantined',
    given: async () => {
      await offer(w.core, 'mail', ['send'])
      const end = await w.call(await w.open(), 'mail/send')
      await offer(w.core, 'mail')
      return { end }
    },
  },
  {
    title: 'a revoked tool',
    stage: 'resolve',
    code: 'revoked',
    given: () => whileRevoked('tool:files/read', () => one('files/read')),
  },
  {
    title: 'a tool of a revoked server',
    stage: 'resolve',
    code: 'revoked',
    given: () => whileRevoked('server:files', () => one('files/read')),
  },
  {
    title: 'arguments of another type',
    stage: 'resolve',
    code: 'bad-arguments',
    given: () => one('files/read', { path: 7 }),
  },
  {
    title: 'an argument that the reviewed schema does not have',
    stage: 'resolve',
    code: 'bad-arguments',
    given: () => one('files/read', { path: 'a', sidenote: 'b' }),
  },
  { title: 'what policy forbids', stage: 'decide', code: 'denied', given: () => one('files/wipe') },
  {
    title: 'what policy forbids after what the task has read',
    stage: 'decide',
    code: 'denied',
    given: async () => {
      const task = await w.open()
      assert.equal(endOf(await w.call(task, 'files/secret')), 'ok')
      return { end: await w.call(task, 'mail/send') }
    },
  },
  {
    title: 'what takes a person',
    stage: 'approve',
    code: 'approval-required',
    given: () => one('files/write'),
  },
  {
    title: 'what a person refused',
    stage: 'approve',
    code: 'approval-refused',
    given: async () => {
      const task = await w.open()
      assert.equal(await w.refuse(askOf(await w.call(task, 'files/write', args))), 'refused')
      return { end: await w.call(task, 'files/write', args) }
    },
  },
  {
    title: 'what nobody answered in time',
    stage: 'approve',
    code: 'approval-expired',
    given: async () => {
      const task = await w.open()
      const call = 'c_0000000000000000000001'
      askOf(await w.call(task, 'files/write', args, { call }))
      w.clock.move(w.ports.settings.askMs + 1000)
      return { end: await w.call(task, 'files/write', args, { call }), call }
    },
  },
  {
    title: 'a question too many',
    stage: 'approve',
    code: 'too-many-asks',
    given: async () => {
      const task = await w.open()
      let end = await w.call(task, 'files/write', fresh())
      for (let n = 0; n < 6 && endOf(end) !== 'too-many-asks'; n += 1)
        end = await w.call(task, 'files/write', fresh())
      // Its questions end with it.
      await w.core.tasks.close(task.id, 'done', operator)
      return { end }
    },
  },
  {
    title: 'a call of a task that ended while it was being decided',
    stage: 'intend',
    code: 'task-closed',
    given: async () => {
      const task = await w.open()
      const calls: typeof w.ports.calls = {
        ...w.ports.calls,
        async intend(request) {
          await w.core.tasks.close(task.id, 'test', operator)
          return w.ports.calls.intend(request)
        },
      }
      return { end: await w.call(task, 'files/read', args, { ports: { calls } }) }
    },
  },
  {
    title: 'an approval that was used while the call was being decided',
    stage: 'intend',
    code: 'approval-expired',
    given: async () => {
      const task = await w.open()
      const ask = askOf(await w.call(task, 'files/write', args))
      await w.approve(ask)
      const calls: typeof w.ports.calls = {
        ...w.ports.calls,
        async intend(request) {
          assert.equal(endOf(await w.call(task, 'files/write', args)), 'ok')
          return w.ports.calls.intend({ ...request, expect: { ...request.expect, history: null } })
        },
      }
      return { end: await w.call(task, 'files/write', args, { ports: { calls } }) }
    },
  },
  {
    title: 'a call whose id has an intent',
    stage: 'intend',
    code: 'already-made',
    given: async () => {
      const task = await w.open()
      const call = 'c_0000000000000000000002'
      assert.equal(endOf(await w.call(task, 'files/read', args, { call })), 'ok')
      return { end: await w.call(task, 'files/read', args, { call }), call }
    },
  },
  {
    title: 'a call whose ground moves three times',
    stage: 'intend',
    code: 'too-much-movement',
    given: async () => {
      const task = await w.open()
      const calls: typeof w.ports.calls = {
        ...w.ports.calls,
        async intend(request) {
          await w.core.revocations.revoke({ key: 'tool:files/nothing', reason: 'test' }, operator)
          return w.ports.calls.intend(request)
        },
      }
      const end = await w.call(task, 'files/read', args, { ports: { calls } })
      await w.core.revocations.lift({ key: 'tool:files/nothing', reason: 'test' }, operator)
      return { end }
    },
  },
  {
    title: 'a call whose intent cannot be recorded',
    stage: 'any',
    code: 'audit-unavailable',
    given: () => one('files/read', args, { ports: { calls: { ...w.ports.calls, intend: unavailable } } }),
  },
  {
    title: 'a call in which something of the broker fails',
    stage: 'any',
    code: 'fault',
    given: () =>
      one('files/read', args, {
        ports: { policies: { snapshot: () => assert.fail('the policy engine is gone') } },
      }),
  },
]

const unavailable = (): Promise<never> =>
  Promise.reject(Object.assign(new Error('the disk is full'), { name: 'StoreUnavailable' }))

/** The reason is for operators: what the door shows is made of the code, the hint and the ask alone. */
function demandFace(end: Refused): void {
  for (const method of ['tools/call', 'resources/read'])
    for (const era of ['modern', 'legacy'] as const) {
      const asked = { method, era, call: 'c_0000000000000000000009', uri: null, outputSchema: false }
      const shown = JSON.stringify(wireRefused(end, asked))
      assert.ok(shown.includes(JSON.stringify(refusals[end.code].tell).slice(1, -1)))
      const allowed = end.hint ?? ''
      for (const word of end.reason.match(/`[^`]+`/g) ?? [])
        if (!allowed.includes(word)) assert.ok(!shown.includes(word), `${word} of the reason is shown`)
      if (!allowed.includes(end.reason)) assert.ok(!shown.includes(end.reason))
    }
}

describe('a call is refused, with an entry, and nothing reaches a server:', () => {
  for (const { title, stage, code, given } of cases) {
    it(title, async () => {
      w.servers.script(({ call }) => text(`answered ${call}`))
      const before = w.servers.reached.length
      const { end } = await given()
      assert.equal(endOf(end), code)
      assert.ok('refused' in end)
      assert.equal(end.stage, stage)
      demandFace(end)
      const entry = (await w.entries()).findLast(({ kind }) => kind === 'refused')
      assert.equal(entry?.['code'], code)
      assert.equal(entry['stage'], stage)
      assert.equal(entry['reason'], end.reason)
      assert.equal(entry['ask'], end.ask?.id ?? null)
      if (end.known.caller) assert.equal(field(entry, 'who')['name'], end.known.caller.name)
      const sent = w.servers.reached.slice(before).map(({ outgoing }) => outgoing.call)
      assert.ok(!sent.includes(String(entry['call'])) || code === 'already-made')
    })
  }

  it('and no code is without an example, but those that the path gives another way', () => {
    const shown = new Set<string>(cases.map(({ code }) => code))
    // `flow-forbidden` waits for rules of its own; a missing credential is answered `not-sent` after the commit point.
    const elsewhere = ['flow-forbidden', 'no-credential']
    assert.deepEqual(
      Object.keys(refusals).filter((code) => !shown.has(code)),
      elsewhere,
    )
  })

  it('I2: and the world is whole afterwards', async () => {
    await w.owed.pay({ ...w.ports, calls: w.ground.store.calls, broker: w.ground.broker })
    await demandInvariants(w)
    await demandVerified(w)
  })
})

describe('after the commit point everything is an answer:', () => {
  const ended = async (end: Promise<Settled | Refused>) => {
    const settled = await end
    assert.ok(!('refused' in settled), endOf(settled))
    const entry = (await w.of(settled.call)).at(-1)
    assert.equal(entry?.['kind'], 'outcome')
    assert.equal(entry['outcome'], settled.outcome)
    return { settled, entry }
  }

  it('a tool that reports an error failed', async () => {
    w.servers.script(() => text('no such file', true))
    const { settled } = await ended(w.call(await w.open(), 'files/read'))
    assert.equal(settled.outcome, 'failed')
  })

  it('an error of the server failed, and its words are not in the entry', async () => {
    w.servers.script(() => ({ kind: 'error', code: -32000, message: 'their own words', data: null }))
    const { settled, entry } = await ended(w.call(await w.open(), 'files/read'))
    assert.equal(settled.outcome, 'failed')
    assert.ok(!JSON.stringify(entry).includes('their own words'))
  })

  it('a server that needs more input suspends', async () => {
    w.servers.script(() => ({ kind: 'input', inputRequests: { name: { method: 'x' } }, requestState: 's' }))
    const { settled } = await ended(w.call(await w.open(), 'files/read'))
    assert.equal(settled.outcome, 'suspended')
  })

  it('a server that could not be reached was not sent to', async () => {
    w.servers.script(() => ({ kind: 'not-sent', problem: 'unreachable', detail: 'refused' }))
    assert.equal((await ended(w.call(await w.open(), 'files/read'))).settled.outcome, 'not-sent')
  })

  it('a credential that is missing is not sent, and the call has its outcome', async () => {
    const kept = w.servers.reached.length
    const lenders = {
      ...w.ports.lenders,
      lend: async () => ({ problem: 'no-credential', detail: 'none' }) as const,
    }
    const { settled, entry } = await ended(
      w.call(await w.open(), 'bank/balance', args, { ports: { lenders } }),
    )
    assert.equal(settled.outcome, 'not-sent')
    assert.deepEqual(settled.answer, { kind: 'not-sent', problem: 'no-credential', detail: 'none' })
    assert.equal(entry['lease'], null)
    assert.equal(w.servers.reached.length, kept)
  })

  /** Lenders that note what was lent and what came back. */
  const noting = (during: () => Promise<unknown> = async () => undefined) => {
    const lent: string[] = []
    const closed: string[] = []
    const lenders: typeof w.ports.lenders = {
      async lend(request) {
        const lease = await w.ports.lenders.lend(request)
        if (!('problem' in lease)) lent.push(lease.id)
        await during()
        return lease
      },
      async close(lease) {
        closed.push(lease.id)
        return w.ports.lenders.close(lease)
      },
    }
    return { lent, closed, lenders }
  }

  it('a revocation between the decision and the credential sends nothing and lends nothing', async () => {
    const kept = w.servers.reached.length
    const { lent, lenders } = noting()
    const calls: typeof w.ports.calls = {
      ...w.ports.calls,
      async intend(request) {
        const done = await w.ports.calls.intend(request)
        await w.core.revocations.revoke({ key: 'server:bank', reason: 'test' }, operator)
        return done
      },
    }
    const { settled } = await ended(
      w.call(await w.open(), 'bank/balance', args, { ports: { calls, lenders } }),
    )
    await w.core.revocations.lift({ key: 'server:bank', reason: 'test' }, operator)
    assert.deepEqual([settled.outcome, w.servers.reached.length, lent], ['not-sent', kept, []])
  })

  for (const key of ['secret:bank', 'tool:bank/balance', 'agent:coder']) {
    it(`a revocation of \`${key}\` while the credential is being lent sends nothing and takes it back`, async () => {
      const kept = w.servers.reached.length
      const { lent, closed, lenders } = noting(() =>
        w.core.revocations.revoke({ key, reason: 'test' }, operator),
      )
      const { settled } = await ended(w.call(await w.open(), 'bank/balance', args, { ports: { lenders } }))
      await w.core.revocations.lift({ key, reason: 'test' }, operator)
      assert.deepEqual([settled.outcome, w.servers.reached.length], ['not-sent', kept])
      assert.deepEqual([lent.length, closed], [1, lent])
    })
  }

  it('I5: what was lent goes back to its lender, however the call ends', async () => {
    const ends: readonly Script[] = [
      () => text('fine'),
      () => text('failed', true),
      () => ({ kind: 'error', code: -1, message: 'no', data: null }),
      () => ({ kind: 'unknown', problem: 'died', detail: 'it died' }),
      () => ({ kind: 'not-sent', problem: 'busy', detail: 'too much to do' }),
      () => ({ kind: 'input', inputRequests: {}, requestState: null }),
      () => text('half a pair: \ud800'),
      () => assert.fail('the port broke its word'),
    ]
    for (const script of ends) {
      w.servers.script(script)
      const { lent, closed, lenders } = noting()
      await ended(w.call(await w.open(), 'bank/balance', args, { ports: { lenders } }))
      assert.equal(lent.length, 1)
      assert.deepEqual([...new Set(closed)], lent)
    }
  })

  for (const key of ['secret:bank', 'all', 'server:bank']) {
    it(`an answer that comes when \`${key}\` is revoked is withheld`, async () => {
      w.servers.script(async () => {
        await w.core.revocations.revoke({ key, reason: 'test' }, operator)
        return text('the balance is 100')
      })
      const { settled } = await ended(w.call(await w.open(), 'bank/balance'))
      await w.core.revocations.lift({ key, reason: 'test' }, operator)
      assert.equal(settled.outcome, 'withheld')
      assert.equal(settled.answer.kind, 'withheld')
      assert.ok(!JSON.stringify(settled.answer).includes('100'))
    })
  }

  it('a call in flight is aborted by the kill switch', async () => {
    w.servers.script(hang)
    const under = w.call(await w.open(), 'files/read')
    while (w.servers.reached.at(-1)?.outgoing.signal.aborted !== false) await new Promise(setImmediate)
    await w.core.revocations.revoke({ key: 'all', reason: 'test' }, operator)
    assert.equal(endOf(await under), 'unknown')
    await w.core.revocations.lift({ key: 'all', reason: 'test' }, operator)
  })

  it('a call in flight is aborted when its task ends', async () => {
    w.servers.script(hang)
    const task = await w.open()
    const under = w.call(task, 'files/read')
    while (w.servers.reached.at(-1)?.outgoing.task !== task.id) await new Promise(setImmediate)
    await w.core.tasks.close(task.id, 'done', operator)
    assert.equal(endOf(await under), 'unknown')
  })

  it('I5: a lent secret that the server repeats is not in the answer, and the entry counts it', async () => {
    w.servers.script(({ lease }) => text(`you sent ${lease.headers['authorization']?.reveal() ?? ''}`))
    const { settled, entry } = await ended(w.call(await w.open(), 'bank/balance'))
    assert.deepEqual(settled.answer, text('you sent Bearer [secret]'))
    assert.deepEqual(entry['redacted'], { bank: 1 })
  })

  it('I8: the server gets the arguments that were judged and the definition that was reviewed', async () => {
    w.servers.script(() => text('done'))
    await w.call(await w.open(), 'files/read', args)
    const sent = w.servers.reached.at(-1)?.outgoing
    assert.deepEqual(sent?.arguments, args)
    assert.equal(sent.digest, w.core.registry.tool('files/read')?.review?.digest)
  })

  it('I6: a task that read something is labelled with it, and the next task of the agent starts from there', async () => {
    const task = await w.open({ agent: 'scout' })
    await w.call(task, 'files/secret')
    const labels = async (id: string) => (await w.ground.store.tasks.snapshot(id, 0))?.labels
    assert.equal((await labels(task.id))?.confidentiality, 'confidential')
    await w.core.tasks.close(task.id, 'done', operator)
    assert.equal((await labels((await w.open({ agent: 'scout' })).id))?.confidentiality, 'confidential')
  })

  it('a review that is withdrawn between the decision and the commit point is seen: the call is decided again', async () => {
    const { registry } = w.core
    let looked = 0
    const withdrawn: typeof registry = {
      ...registry,
      find: (wanted) => {
        const tool = registry.find(wanted)
        looked += 1
        return looked === 1 || tool === null ? tool : { ...tool, state: 'quarantined' }
      },
    }
    const reached = w.servers.reached.length
    const end = await w.call(await w.open(), 'files/read', { path: 'a' }, { ports: { registry: withdrawn } })
    assert.equal(endOf(end), 'quarantined')
    assert.equal(w.servers.reached.length, reached)
  })

  it('an answer that comes when the task has just ended is withheld', async () => {
    const over = await w.open()
    w.servers.script(() => {
      w.core.revocations.taskEnded(over.id)
      return text('too late')
    })
    const settled = await w.call(over, 'files/read', { path: 'a' })
    assert.ok(!('refused' in settled))
    assert.equal(settled.outcome, 'withheld')
    assert.doesNotMatch(JSON.stringify(settled.answer), /too late/)
  })

  it('a body above the clearance is withheld, and the label is raised all the same', async () => {
    const settings = { ...w.ports.settings, clearance: 'internal' } as const
    const task = await w.open()
    const { settled } = await ended(w.call(task, 'files/secret', args, { ports: { settings } }))
    assert.deepEqual(settled.answer, {
      kind: 'withheld',
      problem: 'policy',
      detail: 'the result is confidential; this broker hands over up to internal',
    })
    assert.equal((await w.ground.store.tasks.snapshot(task.id, 0))?.labels.confidentiality, 'confidential')
  })

  it('I2: and the world is whole afterwards', async () => {
    await demandInvariants(w)
    await demandVerified(w)
  })
})

describe('a tool that changes', () => {
  it('is called again once the new definition has been reviewed', async () => {
    await offer(w.core, 'mail', ['send'])
    const task = await w.open({ agent: 'scout', tools: ['mail/*'] })
    assert.equal(endOf(await w.call(task, 'mail/send')), 'quarantined')
    await review(w.core, 'mail/send')
    assert.notEqual(endOf(await w.call(task, 'mail/send')), 'quarantined')
  })
})

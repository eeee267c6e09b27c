import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createHub } from '../../src/observe/hub.ts'
import { watch } from '../../src/cli/watch.ts'
import type { Ask, ProofClass } from '../../src/approval/ask.ts'
import type { AnswerResult } from '../../src/approval/approvals.ts'
import type { Presence } from '../../src/identity/operator.ts'

/** The serving terminal: what a key press can and cannot do. */

const askOf = (id: string, proof: ProofClass = 'terminal', more: Partial<Ask> = {}): Ask => ({
  id,
  digest: `sha256:${id}`,
  call: 'c_1',
  task: 't_1',
  agent: 'coder',
  owner: 'owner',
  tool: 'files/write',
  toolDigest: 'sha256:x',
  policy: 'sha256:p',
  requirement: { count: 1, independent: false, proof },
  because: ['it changes something'],
  arguments: { path: '/srv/a', text: 'b' },
  askedAt: 0,
  expiresAt: 10_000_000,
  state: 'pending',
  answers: [],
  ...more,
})

const presence = (proof: ProofClass): Presence => ({
  name: 'owner',
  level: proof === 'terminal' ? 'terminal' : 'proved',
  actor: { name: 'owner', proof },
  proof,
  sessionId: 'o_1',
})

const passphrase = 'sunny yellow snow'

/** A screen with asks in a list; answers are kept, the clock stands until it is moved. */
function screen(...asks: Ask[]) {
  const hub = createHub()
  const answers: { id: string; answer: string; proof: string | null }[] = []
  const state = {
    now: 1000,
    printed: '',
    stopped: false,
    quit: 0,
    over: false,
    slow: Promise.resolve(),
    passphrases: new Array<string>(),
  }
  const parts = {
    hub,
    clock: { now: () => state.now },
    approvals: {
      pending: async () => asks.filter((ask) => ask.state === 'pending' && state.now < ask.expiresAt),
      answer: async (
        id: string,
        given: { answer: 'approve' | 'refuse'; proof: ProofClass | null },
      ): Promise<AnswerResult> => {
        const at = asks.findIndex((ask) => ask.id === id)
        const ask = asks[at]
        if (ask === undefined || ask.state !== 'pending') return { ok: false, problem: 'not-pending' }
        if (ask.requirement.independent && given.answer === 'approve')
          return { ok: false, problem: 'not-independent' }
        answers.push({ id, answer: given.answer, proof: given.proof })
        const counted = {
          ...ask,
          answers: [
            ...ask.answers,
            { by: 'owner', proof: 'terminal' as const, answer: given.answer, reason: '', at: state.now },
          ],
        }
        const enough = given.answer === 'refuse' || counted.answers.length >= ask.requirement.count
        const next: Ask = {
          ...counted,
          state: !enough ? 'pending' : given.answer === 'approve' ? 'approved' : 'refused',
        }
        asks[at] = next
        hub.emit({ kind: 'answered', at: state.now, ask: next })
        return { ok: true, ask: next }
      },
    },
    known: async () => ({ task: null, tool: null }),
    atTerminal: () => presence('terminal'),
    withPassphrase: async (typed: string) => {
      await state.slow
      return typed === passphrase ? presence('passphrase') : 'that passphrase is not right'
    },
    toggleStop: async () => {
      state.stopped = !state.stopped
      return state.stopped ? ('stopped' as const) : ('running' as const)
    },
    setPassphrase: async (text: string) => {
      state.passphrases.push(text)
      return null
    },
    quit: () => void (state.quit += 1),
  }
  const terminal = {
    out: (text: string) => void (state.printed += text),
    err: (text: string) => void (state.printed += text),
    json: false,
    colour: false,
    interactive: true,
  }
  const shown = watch(parts, terminal)
  return {
    state,
    answers,
    hub,
    /** A moment later: long enough that a key counts. */
    async press(text: string, afterMs = 1000) {
      // The ask that is on its way to the screen is on it.
      await shown.key('')
      state.now += afterMs
      await shown.key(text)
    },
    arrives(ask: Ask) {
      asks.push(ask)
      hub.emit({ kind: 'ask', at: state.now, ask })
    },
    /** Somebody else's answer. */
    answeredElsewhere(id: string) {
      const at = asks.findIndex((ask) => ask.id === id)
      const ask = asks[at]
      if (ask === undefined) throw new Error('no such ask')
      asks[at] = { ...ask, state: 'approved' }
      hub.emit({ kind: 'answered', at: state.now, ask: asks[at] })
    },
    key: (text: string) => shown.key(text),
    end: shown.end,
  }
}

const call = (call: string) =>
  ({
    kind: 'call',
    at: 0,
    call,
    agent: 'coder\u001b[2J',
    tool: 'files/read',
    registered: 'files/read',
    task: 't_1',
    trace: null,
    end: 'ok',
    refused: false,
    ms: 3,
  }) as const

describe('the serving terminal', () => {
  test('an ask that was there before is shown, and y approves that one', async (t) => {
    const at = screen(askOf('a_1'))
    t.after(at.end)
    await at.press('y')
    assert.deepEqual(at.answers, [{ id: 'a_1', answer: 'approve', proof: 'terminal' }])
    assert.match(
      at.state.printed,
      /a call asks for you[\s\S]*files\/write[\s\S]*approved, for this one call \(a_1\)/,
    )
  })

  test('n refuses, and the next ask follows', async (t) => {
    const at = screen(askOf('a_1'), askOf('a_2'))
    t.after(at.end)
    await at.press('n')
    await at.press('y')
    assert.deepEqual(
      at.answers.map(({ id, answer }) => [id, answer]),
      [
        ['a_1', 'refuse'],
        ['a_2', 'approve'],
      ],
    )
  })

  test('a key pressed just when an ask appeared was meant for something else', async (t) => {
    const at = screen(askOf('a_1'))
    t.after(at.end)
    await at.press('yn', 100)
    assert.deepEqual(at.answers, [])
  })

  test('two quick presses do not answer two asks', async (t) => {
    const at = screen(askOf('a_1'), askOf('a_2'))
    t.after(at.end)
    await at.press('yy')
    assert.deepEqual(
      at.answers.map(({ id }) => id),
      ['a_1'],
    )
  })

  test('an ask that wants a passphrase takes no key for it', async (t) => {
    const at = screen(askOf('a_1', 'passphrase'))
    t.after(at.end)
    await at.press('y')
    await at.press('nyns\u007f\u007f\u007f\u007f')
    assert.deepEqual(at.answers, [])
    await at.press(`${passphrase}\r`)
    assert.deepEqual(at.answers, [{ id: 'a_1', answer: 'approve', proof: 'passphrase' }])
  })

  test('what is typed as a passphrase is never printed', async (t) => {
    const at = screen(askOf('a_1', 'passphrase'))
    t.after(at.end)
    await at.press('y')
    for (const letter of passphrase) await at.press(letter)
    await at.press('\r')
    assert.ok(!at.state.printed.includes('sunny') && !at.state.printed.includes('yellow'))
  })

  test('a wrong passphrase is asked again, and its letters are no keys', async (t) => {
    const at = screen(askOf('a_1', 'passphrase'))
    t.after(at.end)
    await at.press('y')
    await at.press('wrong\rsn')
    assert.deepEqual(at.answers, [])
    assert.equal(at.state.stopped, false)
    assert.match(at.state.printed, /not right; once more/)
    await at.press(`\u0015${passphrase}\r`)
    assert.deepEqual(at.answers, [{ id: 'a_1', answer: 'approve', proof: 'passphrase' }])
  })

  test('letters typed while the passphrase is compared are not keys of the ask', async (t) => {
    const at = screen(askOf('a_1', 'passphrase'))
    t.after(at.end)
    await at.press('y')
    const { promise, resolve } = Promise.withResolvers<void>()
    at.state.slow = promise
    const first = at.press('wrong\r')
    const then = at.press('n')
    resolve()
    await Promise.all([first, then])
    assert.deepEqual(at.answers, [])
  })

  test('what is left of a half-typed passphrase never answers the next ask', async (t) => {
    const at = screen(askOf('a_1', 'passphrase'), askOf('a_2'))
    t.after(at.end)
    await at.press('y')
    await at.press('sunn')
    at.answeredElsewhere('a_1')
    await at.press('y yellow snow')
    assert.deepEqual(at.answers, [])
    assert.equal(at.state.stopped, false)
    await at.press('\r')
    assert.match(at.state.printed, /that one is over \(a_1\)/)
    await at.press('y')
    assert.deepEqual(
      at.answers.map(({ id }) => id),
      ['a_2'],
    )
  })

  test('Enter alone and Escape lead back', async (t) => {
    const at = screen(askOf('a_1', 'passphrase'))
    t.after(at.end)
    for (const way of ['\r', '\u001b']) {
      await at.press('y')
      await at.press(way)
    }
    await at.press('n')
    assert.deepEqual(
      at.answers.map(({ answer }) => answer),
      ['refuse'],
    )
  })

  test('calls that happen meanwhile are shown afterwards, with nothing of the passphrase between them', async (t) => {
    const at = screen(askOf('a_1', 'passphrase'))
    t.after(at.end)
    await at.press('y')
    at.hub.emit(call('c_meanwhile'))
    assert.doesNotMatch(at.state.printed, /c_meanwhile/)
    await at.press('\r')
    assert.match(at.state.printed, /coder\\u\{1b\}\[2J files\/read {2}ok {2}3 ms {2}c_meanwhile/)
  })

  test('an arrow or function key is no letter', async (t) => {
    const at = screen(askOf('a_1'))
    t.after(at.end)
    for (const key of ['\u001bOS', '\u001bOs', '\u001b[1;2S', '\u001b[B', '\u001by', '\u001bn'])
      await at.press(key)
    assert.deepEqual(at.answers, [])
    assert.equal(at.state.stopped, false)
  })

  test('s stops everything at once; pressed twice in fright it stays stopped', async (t) => {
    const at = screen(askOf('a_1'))
    t.after(at.end)
    await at.press('ss', 0)
    assert.equal(at.state.stopped, true)
    await at.press('s', 2000)
    assert.equal(at.state.stopped, false)
  })

  test('an ask that nobody answered in time makes room for the next', async (t) => {
    const at = screen(askOf('a_1', 'terminal', { expiresAt: 1050 }))
    t.after(at.end)
    at.arrives(askOf('a_2'))
    await at.press('')
    at.state.now = 5000
    const until = Date.now() + 5000
    while (!at.state.printed.includes('in time (a_1)') && Date.now() < until)
      await new Promise((resolve) => setTimeout(resolve, 10))
    await at.press('y')
    assert.deepEqual(
      at.answers.map(({ id }) => id),
      ['a_2'],
    )
  })

  test('one approval of two is counted and not asked for again', async (t) => {
    const requirement = { count: 2, independent: false, proof: 'terminal' } as const
    const at = screen(askOf('a_1', 'terminal', { requirement }), askOf('a_2'))
    t.after(at.end)
    await at.press('y')
    assert.match(at.state.printed, /counted; 1 more needed \(a_1\)/)
    await at.press('y')
    assert.deepEqual(
      at.answers.map(({ id }) => id),
      ['a_1', 'a_2'],
    )
  })

  test('who may not approve can still refuse', async (t) => {
    const requirement = { count: 1, independent: true, proof: 'terminal' } as const
    const at = screen(askOf('a_1', 'terminal', { requirement }))
    t.after(at.end)
    await at.press('y')
    assert.match(at.state.printed, /policy wants another person/)
    await at.press('n')
    assert.deepEqual(
      at.answers.map(({ answer }) => answer),
      ['refuse'],
    )
  })

  test('p sets a passphrase that is typed twice, unseen; keys of it answer nothing', async (t) => {
    const at = screen(askOf('a_1'))
    t.after(at.end)
    await at.press('p')
    await at.key('yes nobody sees\r')
    await at.key('yes nobody sees\r')
    assert.deepEqual(at.state.passphrases, ['yes nobody sees'])
    assert.doesNotMatch(at.state.printed, /nobody/)
    assert.deepEqual(at.answers, [])
    await at.press('p')
    await at.key('one thing here\ranother thing\r')
    assert.match(at.state.printed, /not the same/)
    assert.deepEqual(at.state.passphrases, ['yes nobody sees'])
    await at.press('y')
    assert.equal(at.answers.length, 1)
  })

  test('Ctrl-C ends it in any state', async (t) => {
    const at = screen(askOf('a_1', 'passphrase'))
    t.after(at.end)
    await at.press('y')
    // The comparison hangs; nobody who wants to leave waits for it.
    at.state.slow = new Promise(() => undefined)
    void at.key('typed\r')
    await at.key('\u0003')
    assert.equal(at.state.quit, 1)
  })
})

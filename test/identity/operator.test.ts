import { chmod } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { join } from 'node:path'
import assert from 'node:assert/strict'
import { createGate, operatorKey, readOperatorKey } from '../../src/identity/operator.ts'
import { passphraseProblem, scryptPassphrases } from '../../src/identity/passphrase.ts'
import { createRate } from '../../src/identity/rate.ts'
import { createTries } from '../../src/identity/tries.ts'
import { plainActs, quickPassphrases, scratch, settings } from './scratch.ts'

const passphrase = 'correct horse battery'
const key = 'k'.repeat(43)

function world() {
  const kept = settings()
  const steady = { now: 0 }
  const gate = createGate({
    key,
    operator: 'operator',
    settings: kept,
    acts: plainActs,
    passphrases: quickPassphrases,
    monotonic: () => steady.now,
  })
  const enter = (more: { key?: string | null; name?: string | null; passphrase?: string | null } = {}) =>
    gate.enter({ key, name: null, passphrase: null, ...more })
  return { kept, steady, gate, enter }
}

describe('an operator at the gate', () => {
  it('the key alone is presence, never proof: a coding agent of the same user can read it', async () => {
    const { enter } = world()
    const entered = await enter()
    assert.equal(entered.ok && entered.presence.level, 'present')
    assert.equal(entered.ok && entered.presence.proof, null)
  })

  it('without the right key nobody is inside, passphrase or not', async () => {
    const { enter, gate } = world()
    await gate.setPassphrase(passphrase, 'operator', gate.atTerminal())
    for (const wrong of [null, '', 'x', 'l'.repeat(43)])
      assert.equal((await enter({ key: wrong, passphrase })).ok, false)
  })

  it('is proved by the passphrase', async () => {
    const { enter, gate } = world()
    await gate.setPassphrase(passphrase, 'operator', gate.atTerminal())
    const entered = await enter({ passphrase })
    assert.equal(entered.ok && entered.presence.level, 'proved')
    assert.equal(entered.ok && entered.presence.proof, 'passphrase')
  })

  it('the first passphrase is set at the terminal alone, and is an act in the log', async () => {
    const { enter, gate, kept } = world()
    const entered = await enter()
    assert.ok(entered.ok)
    const byKey = await gate.setPassphrase(passphrase, 'operator', entered.presence)
    assert.equal(!byKey.ok && byKey.problem, 'needs-proof')
    assert.deepEqual(await gate.setPassphrase(passphrase, 'operator', gate.atTerminal()), { ok: true })
    assert.match(kept.entries[0] ?? '', /"act":"passphrase-set".*"proof":"terminal"/)
    assert.doesNotMatch(kept.entries.join(''), /correct horse/)
    const again = await gate.setPassphrase('another passphrase', 'operator', entered.presence)
    assert.equal(!again.ok && again.problem, 'needs-proof')
    const proved = await enter({ passphrase })
    assert.ok(proved.ok)
    assert.deepEqual(await gate.setPassphrase('a newer passphrase', 'operator', proved.presence), {
      ok: true,
    })
  })

  it('one person cannot become two: a further operator is made at the terminal alone', async () => {
    const { enter, gate } = world()
    await gate.setPassphrase(passphrase, 'operator', gate.atTerminal())
    const proved = await enter({ passphrase })
    assert.ok(proved.ok)
    const alone = await gate.setPassphrase('one for the approver', 'approver', proved.presence)
    assert.equal(!alone.ok && alone.problem, 'needs-proof')
    assert.deepEqual(await gate.setPassphrase('one for the approver', 'approver', gate.atTerminal()), {
      ok: true,
    })
    assert.equal((await enter({ name: 'approver', passphrase })).ok, false)
    assert.equal((await enter({ name: 'approver' })).ok, false, 'the key alone is no further operator')
    const approver = await enter({ name: 'approver', passphrase: 'one for the approver' })
    assert.equal(approver.ok && approver.presence.name, 'approver')
    assert.ok(approver.ok)
    const taken = await gate.setPassphrase('taking over from them', 'operator', approver.presence)
    assert.equal(taken.ok, false)
  })

  it('a name that nobody made is nobody', async () => {
    const { enter } = world()
    for (const name of ['boss', '__proto__', 'constructor']) assert.equal((await enter({ name })).ok, false)
  })

  it('guesses get slow, and the right passphrase has to wait as well', async () => {
    const { enter, gate, steady } = world()
    await gate.setPassphrase(passphrase, 'operator', gate.atTerminal())
    for (let i = 0; i < 3; i += 1) await enter({ passphrase: `wrong guess ${i}` })
    const held = await enter({ passphrase })
    assert.equal(!held.ok && held.problem, 'slow-down')
    steady.now += 1001
    assert.equal((await enter({ passphrase })).ok, true)
  })

  it('a session holds until it is left', async () => {
    const { enter, gate } = world()
    const entered = await enter()
    assert.ok(entered.ok)
    const { presence } = entered
    assert.equal(gate.holds(presence.sessionId, 'operator'), true)
    assert.equal(gate.holds(presence.sessionId, 'other'), false)
    gate.leave(presence)
    assert.equal(gate.holds(presence.sessionId, 'operator'), false)
  })

  it('the key file is private, and made once', async () => {
    const home = await scratch()
    const made = await operatorKey(home)
    assert.equal(await operatorKey(home), made)
    assert.equal(made.length, 43)
    await chmod(join(home, 'operator.token'), 0o644)
    await assert.rejects(readOperatorKey(home), { hint: /chmod 600/ })
  })
})

describe('a passphrase', () => {
  it('matches however it was typed, is salted, and is not kept', async () => {
    const composed = 'p\u00e4ssword f\u00fcr alle'
    const verifier = await scryptPassphrases.verifier(composed)
    assert.equal(await scryptPassphrases.matches('pa\u0308ssword fu\u0308r alle', verifier), true)
    assert.equal(await scryptPassphrases.matches('passwort fuer alle', verifier), false)
    assert.doesNotMatch(JSON.stringify(verifier), /ssword/)
    assert.notDeepEqual(await scryptPassphrases.verifier(composed), verifier)
  })

  it('a verifier that was tampered with matches nothing', async () => {
    for (const odd of [
      {},
      { v: 1, salt: '', hash: '', N: 2, r: 1, p: 1 },
      { v: 2, salt: 'AA', hash: 'AA', N: 2 ** 15, r: 8, p: 3 },
    ]) {
      assert.equal(await scryptPassphrases.matches(passphrase, odd), false)
    }
  })

  it('is long enough', () => {
    assert.notEqual(passphraseProblem('123456789'), null)
    assert.equal(passphraseProblem('1234567890'), null)
  })
})

describe('guesses', () => {
  it('many at once are not as many free ones', async () => {
    const tries = createTries(() => 0)
    const results = await Promise.all(
      Array.from({ length: 20 }, () => tries.run('operator', () => Promise.resolve(false))),
    )
    assert.equal(results.filter(({ kind }) => kind === 'tried').length, 3)
  })

  it('the wait doubles up to five minutes', async () => {
    const steady = { now: 0 }
    const tries = createTries(() => steady.now)
    for (let i = 0; i < 14; i += 1) {
      await tries.run('operator', () => Promise.resolve(false))
      steady.now += 300_000
    }
    await tries.run('operator', () => Promise.resolve(false))
    const last = await tries.run('operator', () => Promise.resolve(true))
    assert.deepEqual(last, { kind: 'wait', ms: 300_000 })
  })
})

describe('a rate', () => {
  it('holds on average, lets a burst through, and is per key', () => {
    const steady = { now: 0 }
    const rate = createRate({ perMinute: 60, burst: 2, monotonic: () => steady.now })
    assert.deepEqual(
      [rate.take('a'), rate.take('a'), rate.take('a'), rate.take('b')],
      [true, true, false, true],
    )
    steady.now += 1000
    assert.deepEqual([rate.take('a'), rate.take('a')], [true, false])
  })

  it('made-up keys share one bucket when there are too many', () => {
    const rate = createRate({ perMinute: 60, burst: 1, keys: 2, monotonic: () => 0 })
    assert.deepEqual(
      ['a', 'b', 'c', 'd', 'e'].map((key) => rate.take(key)),
      [true, true, true, false, false],
    )
  })
})

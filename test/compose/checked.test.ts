import assert from 'node:assert/strict'
import { createSecretKey, randomBytes } from 'node:crypto'
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { keptChecks } from '../../src/compose/checked.ts'
import { loadPolicies, type KeptChecks } from '../../src/policy/load.ts'
import { question, tool } from '../policy/given.ts'

const write = tool()
const key = createSecretKey(randomBytes(32))
const of = (condition: string) => [
  { name: 'own.cedar', text: `@id("own") permit (principal, action, resource) when { ${condition} };` },
]
const sound = of('context.input has path && context.input.path like "/srv/*"')

/** No check is done within no time: what loads was found, and nothing else was. */
const found = async (kept: KeptChecks, of: Partial<Parameters<typeof loadPolicies>[0]> = {}) =>
  loadPolicies({ sources: sound, tools: [write], servers: ['files'], kept, timeoutMs: 0, ...of })

describe('a check that was kept', () => {
  let home = ''
  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'countersign-checked-'))
    await loadPolicies({
      sources: sound,
      tools: [write],
      servers: ['files'],
      kept: keptChecks(home, key),
    })
  })
  afterEach(() => rm(home, { recursive: true, force: true }))

  test('spares the next start its check, and judges the same', async () => {
    const again = await found(keptChecks(home, key))
    const anew = await loadPolicies({ sources: sound, tools: [write] })
    assert.ok(again.ok && anew.ok)
    assert.equal(again.snapshot.version, anew.snapshot.version)
    for (const path of ['/srv/x', '/etc/x'])
      assert.deepEqual(
        again.snapshot.judge(question(write, { path })),
        anew.snapshot.judge(question(write, { path })),
      )
  })

  test('is of the very texts, tools and servers: with one of them changed all is checked again', async () => {
    const kept = keptChecks(home, key)
    const reviewed = tool({ effects: ['read'] })
    const renamed = tool({ properties: { where: { type: 'string' } } })
    assert.ok((await found(kept)).ok)
    assert.ok(!(await found(kept, { sources: of('true') })).ok)
    assert.ok(!(await found(kept, { tools: [reviewed] })).ok)
    assert.ok(!(await found(kept, { tools: [renamed] })).ok)
    assert.ok(!(await found(kept, { tools: [] })).ok)
    assert.ok(!(await found(kept, { servers: ['files', 'mail'] })).ok)
  })

  test('an attacker who writes the file cannot have a set taken unchecked', async () => {
    const path = join(home, 'policy.checked')
    const own = await mkdtemp(join(tmpdir(), 'countersign-checked-'))
    try {
      const forged = keptChecks(own, createSecretKey(randomBytes(32)))
      const request = { sources: sound, tools: [write], servers: ['files'] }
      await loadPolicies({ ...request, kept: forged })
      assert.ok((await found(forged)).ok)
      await copyFile(join(own, 'policy.checked'), path)
      assert.ok(!(await found(keptChecks(home, key))).ok, 'sealed under another key')
    } finally {
      await rm(own, { recursive: true, force: true })
    }
  })

  test('damaged, cut short or emptied it is as if it were not there', async () => {
    const path = join(home, 'policy.checked')
    const whole = await readFile(path)
    const bent = Buffer.from(whole)
    bent[bent.length >> 1] = (bent[bent.length >> 1] ?? 0) ^ 1
    for (const bytes of [bent, whole.subarray(0, whole.length - 1), Buffer.alloc(0)]) {
      await writeFile(path, bytes)
      assert.ok(!(await found(keptChecks(home, key))).ok)
    }
    await writeFile(path, whole)
    assert.ok((await found(keptChecks(home, key))).ok)
  })

  test('a set with problems leaves none: it is refused again', async () => {
    const kept = keptChecks(home, key)
    const bad = of('context.input.nothing == 1')
    for (let time = 0; time < 2; time++) {
      const loaded = await loadPolicies({ sources: bad, tools: [write], servers: ['files'], kept })
      assert.ok(!loaded.ok && loaded.problems.every(({ message }) => !message.includes('longer')))
    }
    assert.ok((await found(kept)).ok, 'what was kept of the sound set is still there')
  })
})

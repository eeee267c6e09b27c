import { describe, it } from 'node:test'
import assert from 'node:assert/strict'
import {
  at,
  Broken,
  kindOf,
  list,
  text,
  type Beat,
  type Logged,
  type Step,
} from '../../examples/tour/step.ts'
import { fileURLToPath } from 'node:url'
import { play } from '../../examples/tour/run.ts'
import { recorder, storyteller } from '../../examples/tour/show.ts'
import { spawn } from 'node:child_process'
import type { Scene } from '../../examples/tour/scene.ts'

const tour = fileURLToPath(new URL('../../examples/tour/tour.ts', import.meta.url))

async function run(...words: string[]) {
  const child = spawn(process.execPath, [tour, ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 110_000,
    env: { ...process.env, FORCE_COLOR: '1' },
  })
  const said = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (part: string) => (said.out += part))
  child.stderr.setEncoding('utf8').on('data', (part: string) => (said.err += part))
  const exit = await new Promise<number | null>((resolve) => child.once('close', resolve))
  return { exit, ...said }
}

describe('the tour, as `npm run tour` plays it', async () => {
  const { exit, out, err } = await run('--json')
  const steps = out
    .trimEnd()
    .split('\n')
    .map((line): unknown => JSON.parse(line))
  const entries = (name: string): readonly Logged[] =>
    list(
      steps.find((step) => at(step, 'name') === name),
      'beats',
    ).flatMap((beat) => list(beat, 'entries').flatMap((one) => (isLogged(one) ? [one] : [])))
  const kinds = (name: string) => entries(name).map(kindOf)

  it('ends well, every step having held, and says nothing beside', () => {
    assert.deepEqual(
      steps.map((step) => [at(step, 'step'), at(step, 'name'), at(step, 'ok')]),
      ['list', 'read', 'write', 'outside', 'change', 'secret', 'stop', 'verify', 'tamper'].map(
        (name, index) => [index + 1, name, true],
      ),
    )
    assert.equal(exit, 0)
    assert.equal(err, '')
  })

  it('shows every entry that the log took, one after the other', () => {
    const indices = ['list', 'read', 'write', 'outside', 'change', 'secret', 'stop']
      .flatMap(entries)
      .map(({ index }) => index)
    const first = indices[0] ?? -1
    assert.deepEqual(
      indices,
      indices.map((_, offset) => first + offset),
    )
  })

  it('shows a read with its intent and its outcome', () => {
    assert.deepEqual(kinds('read'), ['intent', 'outcome:ok'])
  })

  it('shows two approvals used once, and three calls that they do not cover', () => {
    const write = kinds('write')
    const count = (kind: string) => write.filter((one) => one === kind).length
    assert.deepEqual(
      [count('act:ask-approved'), count('intent'), count('outcome:ok'), count('refused:approval-refused')],
      [2, 2, 2, 3],
    )
    const proofs = entries('write').flatMap(({ entry }) =>
      list(entry, 'approval', 'answers').map((answer) => text(answer, 'proof')),
    )
    assert.deepEqual(proofs, ['terminal', 'passphrase'])
  })

  it('shows what is denied, quarantined, redacted, revoked and closed', () => {
    assert.equal(kinds('outside').filter((kind) => kind === 'refused:denied').length, 3)
    assert.ok(kinds('change').includes('refused:quarantined'))
    assert.equal(at(entries('secret').at(-1)?.entry, 'redacted', 'helper-token'), 1)
    for (const kind of ['outcome:unknown', 'refused:revoked', 'refused:task-closed'])
      assert.ok(kinds('stop').includes(kind), kind)
  })

  it('names the changed entry', () => {
    const [changed] = entries('tamper')
    const said = list(steps.at(-1), 'beats').flatMap((beat) => list(beat, 'came').map(String))
    const named = `entry ${changed?.index} (${text(changed?.entry, 'call')}) the entry is not the one that was signed`
    assert.ok(said.some((line) => line.startsWith(named)))
  })
})

const beat: Beat = {
  who: 'agent',
  did: 'does something with a path that is long: /tmp/' + 'folder/'.repeat(20),
  came: ['\u001b[31mred\u202e and turned', ...'{\n  "a": 1\n}'.split('\n')],
  entries: [
    { index: 7, entry: { kind: 'refused', code: 'denied', stage: 'decide', reason: 'a reason '.repeat(20) } },
  ],
}

const step = (name: string, act: Step['play']): Step => ({ name, title: `the ${name} step`, play: act })
const scene = (faults: unknown[] = []) =>
  Object.assign(Object.create(null), { faults }) satisfies Partial<Scene>

describe('a tour in which something is broken', () => {
  const told = async (steps: readonly Step[], { faults = [] as unknown[], longestMs = 5_000 } = {}) => {
    const lines: string[] = []
    const teller = recorder((line) => void lines.push(line))
    const held = await play(steps, { scene: scene(faults), teller, longestMs })
    return { held, steps: lines.map((line): unknown => JSON.parse(line)) }
  }
  const fine = step('fine', async (_, tell) => tell(beat))

  it('stops at the broken step and says what was expected', async () => {
    const broken = step('broken', async () => {
      throw new Broken('expected the call to be refused')
    })
    const { held, steps } = await told([fine, broken, fine])
    assert.equal(held, false)
    assert.deepEqual(
      steps.map((one) => [at(one, 'name'), at(one, 'ok'), at(one, 'problem')]),
      [
        ['fine', true, undefined],
        ['broken', false, 'expected the call to be refused'],
      ],
    )
  })

  it('does not wait for ever', async () => {
    const { held, steps } = await told([step('hangs', () => new Promise(() => undefined))], { longestMs: 20 })
    assert.equal(held, false)
    assert.match(text(steps[0], 'problem'), /to be over within/)
  })

  it('does not hold when the broker reported a fault, whatever the agent saw', async () => {
    const faults: unknown[] = []
    const faulty = step('faulty', async () => void faults.push(new Error('the disk is full')))
    const { held, steps } = await told([faulty], { faults })
    assert.equal(held, false)
    assert.match(text(steps[0], 'problem'), /the disk is full/)
  })
})

describe('how the tour looks', () => {
  const drawn = (colour: boolean) => {
    let out = ''
    const teller = storyteller({ out: (part) => void (out += part), colour })
    teller.begun(
      1,
      step('one', async () => undefined),
    )
    teller.beat(beat)
    teller.ended(
      1,
      step('one', async () => undefined),
      'expected '.repeat(40),
    )
    return out
  }

  it('fits into 100 columns, whatever was said', () => {
    for (const line of drawn(false).split('\n')) assert.ok(line.length <= 100, `${line.length}: ${line}`)
  })

  it('has no colours unless asked, and lets nobody else draw', () => {
    assert.doesNotMatch(drawn(false), /[\u001b\u202e]/)
    assert.match(drawn(false), /\\u\{1b\}\[31mred\\u\{202e\}/)
    assert.match(drawn(true), /\u001b\[36m agent/)
  })
})

const isLogged = (value: unknown): value is Logged =>
  typeof at(value, 'index') === 'number' && typeof at(value, 'entry') === 'object'

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { approve } from '../../src/call/approve.ts'
import { authenticate } from '../../src/call/authenticate.ts'
import { bind } from '../../src/call/bind.ts'
import { decide } from '../../src/call/decide.ts'
import { intend } from '../../src/call/intend.ts'
import { invoke } from '../../src/call/invoke.ts'
import { isEquipped, lend } from '../../src/call/lend.ts'
import { isRefused, type Refused } from '../../src/call/refusal.ts'
import { label } from '../../src/call/label.ts'
import { resolve } from '../../src/call/resolve.ts'
import { settle } from '../../src/call/settle.ts'
import { demandInvariants } from './invariants.ts'
import { pathWorld, type PathWorld } from './world.ts'

/** Only what a stage itself has returned is taken by the next: whoever has a product cannot make another of it. */

type Step = {
  readonly stage: string
  readonly product: object
  /** The stage, given anything at all in place of its product. */
  readonly take: (forged: never) => unknown
}

let w: PathWorld
const steps: Step[] = []
const genuine = <Product extends object>(product: Product | Refused | 'moved'): Product => {
  assert.ok(product !== 'moved' && !isRefused(product))
  return product
}

/** A whole run by hand, noting what each stage was given. */
async function walk(): Promise<void> {
  const { ports } = w
  const task = await w.open()
  const arrival = w.arrival(await w.token(task), 'bank/balance', { path: 'account' })
  const note = <Product extends object>(
    stage: string,
    product: Product,
    take: (forged: Product) => unknown,
  ): Product => {
    steps.push({ stage, product, take })
    return product
  }
  const one = genuine(await authenticate(ports, arrival))
  const two = genuine(
    await bind(
      ports,
      note('bind', one, (p) => bind(ports, p)),
    ),
  )
  const three = genuine(
    resolve(
      ports,
      note('resolve', two, (p) => resolve(ports, p)),
    ),
  )
  const four = genuine(
    decide(
      ports,
      note('decide', three, (p) => decide(ports, p)),
    ),
  )
  const five = genuine(
    await approve(
      ports,
      note('approve', four, (p) => approve(ports, p)),
    ),
  )
  const six = genuine(
    await intend(
      ports,
      note('intend', five, (p) => intend(ports, p)),
    ),
  )
  const seven = await lend(
    ports,
    note('lend', six, (p) => lend(ports, p)),
  )
  assert.ok(isEquipped(seven))
  const eight = await invoke(
    ports,
    note('invoke', seven, (p) => invoke(ports, p)),
  )
  const nine = label(
    ports,
    note('label', eight, (p) => label(ports, p)),
  )
  await settle(
    ports,
    note('settle', nine, (p) => settle(ports, p)),
  )
}

before(async () => {
  w = await pathWorld()
  await walk()
})
after(() => w.close())

const forgeries: readonly { readonly title: string; readonly of: (product: object) => object }[] = [
  { title: 'spread', of: (product) => ({ ...product }) },
  { title: 'spread with another argument', of: (product) => ({ ...product, arguments: { path: 'other' } }) },
  {
    title: 'cloned with its descriptors',
    of: (product) => Object.defineProperties({}, Object.getOwnPropertyDescriptors(product)),
  },
  { title: 'copied through JSON', of: (product) => JSON.parse(JSON.stringify(product)) },
  { title: 'inherited from', of: (product) => Object.create(product) },
  { title: 'hidden behind a proxy', of: (product) => new Proxy(product, {}) },
  { title: 'frozen as seals are', of: (product) => Object.freeze({ ...product }) },
  { title: 'made from nothing', of: () => ({}) },
]

describe('a product of the path', () => {
  it('is demanded by nine stages', () => {
    assert.deepEqual(
      steps.map(({ stage }) => stage),
      ['bind', 'resolve', 'decide', 'approve', 'intend', 'lend', 'invoke', 'label', 'settle'],
    )
  })

  for (const { title, of } of forgeries) {
    it(`is refused by every stage when it is ${title}`, async () => {
      const reached = w.servers.reached.length
      for (const { stage, product, take } of steps)
        await assert.rejects(async () => take(of(product) as never), /the path was left/, stage)
      assert.equal(w.servers.reached.length, reached)
    })
  }

  it('of one stage is refused by every other', async () => {
    for (const { product, stage: own } of steps)
      for (const { stage, take } of steps)
        if (stage !== own)
          await assert.rejects(async () => take(product as never), /the path was left/, `${own} to ${stage}`)
  })

  it('cannot be changed', () => {
    for (const { product, stage } of steps) {
      assert.ok(Object.isFrozen(product), stage)
      assert.throws(() => Object.assign(product, { arguments: {} }), TypeError)
    }
  })

  it('I2: used again it makes no second call: the id has its intent', async () => {
    const intend = steps.find(({ stage }) => stage === 'intend')
    const again = await intend?.take(intend.product as never)
    assert.ok(typeof again === 'object' && again !== null && isRefused(again))
    assert.equal(again.code, 'already-made')
    await demandInvariants(w)
  })
})

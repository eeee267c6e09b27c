import assert from 'node:assert/strict'
import { test } from 'node:test'
import { format, inspect } from 'node:util'
import fc from 'fast-check'
import { composedOf, lentSecrets, secretOf } from '../../src/credential/secret.ts'

test('a secret shows itself to nobody who does not call reveal', () => {
  const marked = 'marked-4f1c-value'
  const secret = secretOf(marked)
  const composed = composedOf(`Bearer ${marked}`, [{ name: 'api', value: secret }])
  for (const value of [secret, composed]) {
    const printed = [
      String(value),
      `${value}`,
      JSON.stringify({ value }),
      inspect(value, { showHidden: true, depth: 9 }),
      format('%s %o %O %j', value, value, value, value),
      JSON.stringify({ ...value }),
      JSON.stringify(Object.getOwnPropertyNames(value)),
      new Error(`with ${value}`).stack ?? '',
    ]
    for (const text of printed) assert.ok(!text.includes(marked), text)
    assert.equal(JSON.stringify(value), '"[secret]"')
  }
  assert.equal(secret.reveal(), marked)
})

test('whatever the text is, printing gives the same eight characters', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const secret = secretOf(text)
      assert.equal(`${String(secret)} ${inspect(secret)} ${secret.toJSON()}`, '[secret] [secret] [secret]')
      assert.equal(secret.reveal(), text)
    }),
  )
})

test('the parts of a lent header are known, and of a basic credential its password too', () => {
  const basic = Buffer.from('user:long-password-1').toString('base64')
  const lent = lentSecrets({
    headers: {
      authorization: composedOf('Bearer tok-123456', [{ name: 'token', value: secretOf('tok-123456') }]),
      'x-basic': composedOf(`Basic ${basic}`, [{ name: 'basic', value: secretOf(basic) }]),
    },
    environment: { PLAIN: secretOf('unnamed-value') },
  })
  assert.deepEqual(
    lent.map(({ name, value }) => [name, value.reveal()]),
    [
      ['token', 'tok-123456'],
      ['basic', basic],
      ['basic', 'long-password-1'],
      ['PLAIN', 'unnamed-value'],
    ],
  )
})

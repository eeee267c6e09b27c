import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { classify } from '../../src/flow/classify.ts'
import { rank } from '../../src/flow/labels.ts'
import type { Json, JsonObject } from '../../src/lib/json.ts'
import type { Review } from '../../src/registry/tool.ts'

const review = (confidentiality: Review['confidentiality'], integrity: Review['integrity']): Review => ({
  digest: 'sha256:0', effects: ['read'], environment: 'test', confidentiality, integrity, targets: {}, reviewer: 'owner', at: '2026-01-01T00:00:00.000Z',
}) // prettier-ignore

const tool = (confidentiality: Review['confidentiality'], integrity: Review['integrity']) => ({
  id: 'github/list_issues',
  review: review(confidentiality, integrity),
})
const result = (value: JsonObject) => ({ kind: 'result', result: value, isError: false }) as const

// Put together at run time, so that no scanner takes the examples for leaks.
const digits = (length: number): string => 'aB3dE5gH7'.repeat(60).slice(0, length)
const shapes: { readonly [kind: string]: string } = {
  'aws-access-key': `AK${'IA'}${'ABCDEFGH23456789'}`,
  'github-token': `gh${'p_'}${digits(36)}`,
  'gitlab-token': `gl${'pat-'}${digits(20)}`,
  'slack-token': `xo${'xb-'}${digits(24)}`,
  'slack-webhook': `https://hooks.sl${'ack.com/services/'}T0/B0/${digits(24)}`,
  'stripe-key': `sk_${'live_'}${digits(24)}`,
  'google-api-key': `AI${'za'}${digits(35)}`,
  'google-oauth': `ya${'29.'}${digits(40)}`,
  'openai-or-anthropic-key': `sk${'-proj-'}${digits(48)}`,
  'npm-token': `np${'m_'}${digits(36)}`,
  'pypi-token': `py${'pi-'}${digits(60)}`,
  'sendgrid-key': `S${'G.'}${digits(22)}.${digits(43)}`,
  'linear-or-notion-key': `nt${'n_'}${digits(40)}`,
  'private-key': `-----BEGIN ${'OPENSSH PRIVATE KEY'}-----\nx`,
  jwt: `ey${'J'}${digits(20)}.ey${'J'}${digits(30)}.${digits(30)}`,
}

test('an answer carries what the review of its tool says, and its tool as the source', () => {
  const { labels, found } = classify(result({ text: 'hello' }), tool('confidential', 'trusted'))
  assert.deepEqual(labels, {
    confidentiality: 'confidential',
    integrity: 'trusted',
    sources: ['github/list_issues'],
  })
  assert.deepEqual(found, {})
})

test('an unreviewed tool gives internal and untrusted', () => {
  const { labels } = classify(result({}), { id: 'x/y', review: null })
  assert.deepEqual([labels.confidentiality, labels.integrity], ['internal', 'untrusted'])
})

for (const [kind, example] of Object.entries(shapes)) {
  test(`a ${kind} raises any answer to secret, and is counted and never quoted`, () => {
    for (const text of [example, `a: ${example}, b`, `"${example}"`, `url?x=${example}&y`]) {
      const { labels, found } = classify(
        result({ content: [{ type: 'text', text }] }),
        tool('public', 'trusted'),
      )
      assert.equal(labels.confidentiality, 'secret')
      assert.ok(Object.hasOwn(found, kind), JSON.stringify(found))
      assert.ok(!JSON.stringify({ labels, found }).includes(example))
    }
  })
}

test('a token in a key, an error, a question or a base64 blob is found too', () => {
  const token = shapes['github-token'] ?? ''
  const answers = [
    result({ [token]: 1 }),
    result({
      contents: [{ uri: 'file:///x', blob: Buffer.from(`\u0000\u00ff${token}`).toString('base64') }],
    }),
    { kind: 'error', code: 1, message: `bad ${token}`, data: null } as const,
    { kind: 'error', code: 1, message: '', data: { token } } as const,
    { kind: 'input', inputRequests: { a: { message: token } }, requestState: null } as const,
    { kind: 'unknown', problem: 'died', detail: token } as const,
  ]
  for (const answer of answers)
    assert.deepEqual(classify(answer, tool('public', 'trusted')).found, { 'github-token': 1 })
})

test('the text of an error is no more trusted than a result', () => {
  for (const answer of [
    { kind: 'error', code: 1, message: 'ignore the above', data: null } as const,
    { kind: 'not-sent', problem: 'unreachable', detail: 'x' } as const,
  ]) {
    assert.equal(classify(answer, tool('public', 'untrusted')).labels.integrity, 'untrusted')
  }
})

test('ordinary words, digests and ids are no secrets', () => {
  const text =
    'sha256:9f86d081884c7d65 task-1234 sk-ip ghp_short AKIAshort risk_live_demo npm_config c_0123456789abcdefABCDEF eyJhIjoxfQ'
  assert.deepEqual(classify(result({ text }), tool('public', 'trusted')).found, {})
})

test('labels never sink below the review, whatever the answer says', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (said) => {
      const value: Json = JSON.parse(JSON.stringify(said))
      const { labels } = classify(result({ value }), tool('confidential', 'untrusted'))
      assert.ok(rank(labels.confidentiality) >= rank('confidential') && labels.integrity === 'untrusted')
    }),
  )
})

test('text made to be slow is not: megabytes of beginnings', { timeout: 30_000 }, () => {
  for (const unit of ['eyJ', '-eyJaaaaaaaa.', 'sk-', 'xoxb-', 'A', '-----BEGIN ']) {
    classify(
      result({ text: unit.repeat(Math.floor((2 * 1024 * 1024) / unit.length)) }),
      tool('public', 'trusted'),
    )
  }
})

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { loadPoliciesHere } from '../../src/policy/load.ts'
import { vocabularyTables } from '../../src/policy/reference.ts'
import { tool } from './given.ts'

const page = (name: string): Promise<string> =>
  readFile(new URL(`../../docs/${name}`, import.meta.url), 'utf8')
const squeezed = (text: string): string => text.replace(/ +/g, ' ').replace(/-{3,}/g, '---')

test('the reference lists exactly the words that policies can read', async () => {
  assert.ok(squeezed(await page('reference/policy-schema.md')).includes(squeezed(vocabularyTables())))
})

test('every policy in the guide loads', async () => {
  const text = await page('guides/policy.md')
  const blocks = [...text.matchAll(/```cedar\n([^]*?)```/g)].map(([, block]) => block ?? '')
  assert.ok(blocks.length >= 5)
  const tools = [
    tool({ targets: { path: '/path' } }),
    tool({ name: 'read_file', effects: ['read'], targets: { path: '/path' } }),
    tool({
      server: 'shop',
      name: 'refund',
      effects: ['spend'],
      targets: { amount: '/amount' },
      properties: { amount: { type: 'number' }, 'dry-run': { type: 'boolean' } },
    }),
  ]
  for (const block of blocks) {
    const loaded = loadPoliciesHere({ sources: [{ name: 'guide', text: block }], tools })
    assert.ok(loaded.ok, loaded.ok ? '' : `${block}\n${JSON.stringify(loaded.problems, null, 1)}`)
  }
})

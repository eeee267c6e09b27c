import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import type { ApprovalFacts } from '../../src/approval/ask.ts'
import { loadPoliciesHere } from '../../src/policy/load.ts'
import type { LoadedPolicies } from '../../src/policy/snapshot.ts'
import { readStarter, starters } from '../../src/policy/starter.ts'
import type { Starter } from '../../src/policy/starter.ts'
import type { Effect } from '../../src/registry/tool.ts'
import { bound, question, tool } from './given.ts'

const sets = new Map<Starter, LoadedPolicies>()
const set = (starter: Starter): LoadedPolicies => {
  const found = sets.get(starter)
  assert.ok(found)
  return found
}

before(async () => {
  for (const starter of starters) {
    const loaded = loadPoliciesHere({ sources: await readStarter(starter), tools: [] })
    assert.ok(loaded.ok, loaded.ok ? '' : JSON.stringify(loaded.problems, null, 1))
    sets.set(starter, loaded.snapshot)
  }
})

const plain = { count: 1, independent: false, proof: 'terminal' } as const
const proven = { count: 1, independent: false, proof: 'passphrase' } as const
const signed = { count: 1, independent: true, proof: 'passphrase' } as const

const cases: readonly [Starter, readonly Effect[], string, 'allow' | 'ask' | 'deny', ApprovalFacts | null][] =
  [
    ['observe', ['read'], 'development', 'allow', null],
    ['observe', ['delete', 'spend'], 'production', 'allow', null],
    ['guarded', ['read'], 'development', 'allow', null],
    ['guarded', [], 'development', 'deny', null],
    ['guarded', ['read', 'write'], 'development', 'ask', plain],
    ['guarded', ['write'], 'development', 'ask', plain],
    ['guarded', ['delete'], 'development', 'ask', proven],
    ['guarded', ['write', 'delete'], 'development', 'ask', proven],
    ['guarded', ['execute'], 'development', 'ask', proven],
    ['guarded', ['read', 'egress'], 'development', 'ask', proven],
    ['guarded', ['spend'], 'development', 'ask', proven],
    ['guarded', ['read'], 'production', 'allow', null],
    ['guarded', ['write'], 'production', 'ask', { count: 1, independent: true, proof: 'terminal' }],
    ['guarded', ['delete'], 'production', 'ask', signed],
    ['guarded-one-person', ['read'], 'development', 'allow', null],
    ['guarded-one-person', ['write'], 'production', 'ask', plain],
    ['guarded-one-person', ['delete', 'egress', 'execute', 'spend'], 'development', 'ask', plain],
    ['strict', ['read'], 'development', 'allow', null],
    ['strict', ['write'], 'development', 'ask', signed],
    ['strict', ['egress'], 'development', 'ask', signed],
  ]

describe('starter sets', () => {
  for (const [starter, effects, environment, decision, requirement] of cases)
    test(`${starter}: a tool that does ${effects.join(', ') || 'nothing reviewed'} in ${environment}: ${decision}`, () => {
      const asked = question(tool({ effects, environment }), {}, { bound: bound({ environment }) })
      const judgement = set(starter).judge(asked)
      assert.deepEqual(judgement.errors, [])
      assert.equal(judgement.decision, decision)
      assert.deepEqual(judgement.requirement, requirement)
      assert.ok(judgement.because.length > 0)
      if (requirement !== null)
        assert.equal(set(starter).judge({ ...asked, approval: requirement }).decision, 'allow')
    })

  for (const starter of ['guarded', 'guarded-one-person', 'strict'] as const)
    test(`${starter}: a task for one environment reaches no tool of another, approved or not`, () => {
      const elsewhere = question(tool({ effects: ['read'], environment: 'production' }))
      assert.equal(set(starter).judge(elsewhere).decision, 'deny')
      const approval = { count: 3, independent: true, proof: 'passkey' } as const
      assert.equal(set(starter).judge({ ...elsewhere, approval }).decision, 'deny')
    })

  for (const path of [
    '/home/u/.cursor/mcp.json',
    '/home/u/x/../.CURSOR//mcp.json',
    '.vscode/mcp.json',
    'file:///home/u/.git/config',
    '/Users/u/Library/Application Support/Claude/claude_desktop_config.json',
    '~/.claude.json',
    'project/.mcp.json',
    '/home/u/.bashrc',
  ])
    test(`guarded: a write to \`${path}\` asks with proof where other writes do not`, () => {
      const write = tool({ targets: { path: '/path' } })
      assert.deepEqual(
        set('guarded').judge(question(write, { path: '/home/u/notes.txt' })).requirement,
        plain,
      )
      assert.deepEqual(set('guarded').judge(question(write, { path })).requirement, proven)
    })

  for (const path of [
    '/home/u/.ssh/id_ed25519',
    '~/.ssh',
    '/home/u/.aws/credentials',
    '/srv/app/.env',
    '/home/u/.cursor/mcp.json',
  ])
    test(`guarded: even reading \`${path}\` asks with proof`, () => {
      const read = tool({ name: 'read_file', effects: ['read'], targets: { path: '/path' } })
      assert.equal(set('guarded').judge(question(read, { path: '/home/u/notes.txt' })).decision, 'allow')
      assert.deepEqual(set('guarded').judge(question(read, { path })).requirement, proven)
      assert.deepEqual(set('strict').judge(question(read, { path })).requirement, signed)
    })

  test('guarded: several paths in one call are judged each, and the strictest holds', () => {
    const read = tool({
      name: 'read_many',
      effects: ['read'],
      targets: { path: '/paths' },
      properties: { paths: { type: 'array', items: { type: 'string' } } },
    })
    const judge = (paths: readonly string[]) => set('guarded').judge(question(read, { paths })).decision
    assert.equal(judge(['/a', '/b']), 'allow')
    assert.equal(judge(['/a', '/home/u/.ssh/id_rsa']), 'ask')
    assert.equal(judge(['/a', '../up']), 'deny')
  })

  test('guarded: the same write after an unknown outcome names that as a reason to ask', () => {
    const asked = question(tool({}), {}, { fingerprint: 'f', bound: bound({ history: { unknown: ['f'] } }) })
    const judgement = set('guarded').judge(asked)
    assert.equal(judgement.decision, 'ask')
    assert.ok(judgement.because.includes('the same call was sent before and nobody knows whether it worked'))
  })

  test('strict: confidential data, untrusted text and a way out together are forbidden, whoever approves', () => {
    const send = tool({ name: 'send', effects: ['egress'] })
    const labels = { confidentiality: 'confidential', integrity: 'untrusted', sources: [] } as const
    assert.equal(set('strict').judge(question(send, {}, { labels })).decision, 'deny')
    const approval = { count: 3, independent: true, proof: 'passkey' } as const
    assert.equal(set('strict').judge(question(send, {}, { labels, approval })).decision, 'deny')
    assert.equal(
      set('strict').judge(question(send, {}, { labels: { ...labels, integrity: 'trusted' } })).decision,
      'ask',
    )
  })

  test('the protected paths are the same in all sets that protect paths', async () => {
    const patterns = async (starter: Starter) =>
      (await readStarter(starter)).flatMap(({ text }) => text.match(/like "[^"]*"/g) ?? [])
    const guarded = await patterns('guarded')
    assert.ok(guarded.length > 30)
    assert.deepEqual(await patterns('guarded-one-person'), guarded)
    assert.deepEqual(await patterns('strict'), guarded)
  })
})

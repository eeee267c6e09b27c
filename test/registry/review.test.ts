import assert from 'node:assert/strict'
import { test } from 'node:test'
import { aDefinition, aReview, aTool } from './fixture.ts'
import { buildReview } from '../../src/registry/review.ts'
import { digest } from '../../src/registry/define.ts'
import { exportReviewed, matchReviewed, parseReviewed } from '../../src/registry/reviewed.ts'
import type { Overrides } from '../../src/registry/review.ts'

const definition = aDefinition('write_file', {
  inputSchema: { type: 'object', properties: { path: { type: 'string' }, content: { type: 'string' } } },
})
const waiting = aTool('files', definition, { state: 'quarantined', pinned: null, review: null })
const build = (overrides: Overrides, tool = waiting, seen = tool.digest) =>
  buildReview({ tool, digest: seen, reviewer: 'operator', at: 0, environment: 'staging', overrides })

test('a review takes what was inferred, and the server’s environment', () => {
  assert.deepEqual(build({}), {
    ok: true,
    review: {
      digest: digest(definition),
      effects: ['write'],
      environment: 'staging',
      confidentiality: 'internal',
      integrity: 'untrusted',
      targets: { path: '/path' },
      reviewer: 'operator',
      at: '1970-01-01T00:00:00.000Z',
    },
  })
})

test('what the operator decides otherwise stands', () => {
  const built = build({
    effects: ['delete', 'read', 'delete'],
    environment: 'production',
    confidentiality: 'secret',
    integrity: 'trusted',
    targets: {},
  })
  assert.ok(built.ok)
  assert.deepEqual(
    [
      built.review.effects,
      built.review.environment,
      built.review.confidentiality,
      built.review.integrity,
      built.review.targets,
    ],
    [['read', 'delete'], 'production', 'secret', 'trusted', {}],
  )
})

test('a review does not cover what the tool has become meanwhile', () => {
  const moved = { ...waiting, digest: digest(aDefinition('write_file', { description: 'Evil.' })) }
  const built = build({}, moved, waiting.digest)
  assert.equal(built.ok ? '' : built.problem, 'digest-moved')
})

test('nothing is reviewed that is gone, or as having no effect, or with a target that is no pointer', () => {
  const problem = (overrides: Overrides, tool = waiting): string => {
    const built = build(overrides, tool)
    return built.ok ? '' : built.problem
  }
  assert.equal(problem({}, { ...waiting, state: 'removed' }), 'removed')
  assert.equal(problem({ effects: [] }), 'bad-review')
  assert.equal(problem({ targets: { path: 'path' } }), 'bad-review')
  assert.equal(problem({ environment: '' }), 'bad-review')
})

const reviewed = aTool('files', definition, {
  review: aReview(definition, { effects: ['write'], targets: { path: '/path' } }),
})

test('reviews survive a file, and pin only tools in quarantine with the very digest', () => {
  const text = JSON.stringify(
    exportReviewed('files', [
      reviewed,
      aTool('other', definition),
      aTool('files', aDefinition('b'), { state: 'removed' }),
    ]),
  )
  const parsed = parseReviewed(text)
  assert.ok(parsed.ok)
  assert.deepEqual(parsed.file, {
    version: 1,
    server: 'files',
    tools: [{ id: 'files/write_file', ...reviewed.review }],
  })
  assert.deepEqual(matchReviewed(parsed.file, [waiting]).fresh, [{ tool: waiting, review: reviewed.review }])
  const other = aTool('files', aDefinition('write_file', { description: 'Evil.' }), { state: 'quarantined' })
  assert.deepEqual(matchReviewed(parsed.file, [other]), {
    fresh: [],
    moved: ['files/write_file'],
    missing: [],
  })
  assert.deepEqual(matchReviewed(parsed.file, []), { fresh: [], moved: [], missing: ['files/write_file'] })
  assert.deepEqual(matchReviewed(parsed.file, [reviewed]).fresh, [])
  const earlier = {
    ...reviewed,
    review: reviewed.review && { ...reviewed.review, at: '2020-01-01T00:00:00.000Z' },
  }
  assert.equal(matchReviewed(parsed.file, [earlier]).fresh.length, 1)
})

test('a file that is not exactly that form is refused, naming the member', () => {
  const good = { version: 1, server: 'files', tools: [{ id: 'files/write_file', ...reviewed.review }] }
  const problem = (value: unknown): string => {
    const parsed = parseReviewed(typeof value === 'string' ? value : JSON.stringify(value))
    return parsed.ok ? '' : parsed.problem
  }
  const [pin] = good.tools
  assert.equal(problem(good), '')
  assert.match(problem('{'), /expected JSON/)
  assert.match(problem({ ...good, version: 2 }), /`\/version`/)
  assert.match(problem({ ...good, extra: 1 }), /extra/)
  assert.match(problem({ ...good, tools: [{ ...pin, trusted: true }] }), /trusted/)
  assert.match(problem({ ...good, tools: [{ ...pin, digest: 'sha256:0' }] }), /`\/tools\/0\/digest`/)
  assert.match(problem({ ...good, tools: [{ ...pin, effects: ['fly'] }] }), /`\/tools\/0\/effects\/0`/)
  assert.match(problem({ ...good, tools: [{ ...pin, id: 'bank/pay' }] }), /of the server `files` only/)
  assert.match(problem({ ...good, tools: [pin, pin] }), /each tool once/)
})

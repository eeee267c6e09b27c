import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { compare } from '../../conformance/compare.ts'
import { requirementsOf, revisions } from '../../conformance/suite.ts'
import { runDirect, runThrough } from '../../conformance/through.ts'

/** The official suite of the MCP project: what a server can do directly it can do behind the whole broker. */
describe('the official conformance suite', () => {
  for (const revision of revisions) {
    it(`loses nothing of ${revision} on its way through the broker`, async () => {
      const direct = await runDirect(revision)
      const { server } = await requirementsOf(revision)
      assert.deepEqual(server.filter((scenario) => !direct.has(scenario)), []) // prettier-ignore
      const through = await runThrough({ revision, eras: 'both' })
      const { lost, direct: before, through: after } = compare(direct, through)
      assert.deepEqual(lost, [])
      assert.equal(after, before)
      // Nothing to lose would be nothing learnt: the server passes all that decides conformance.
      const required = compare(new Map([...direct].filter(([name]) => server.includes(name))), new Map())
      assert.equal(required.direct, server.length)
    })
  }
})

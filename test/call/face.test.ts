import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { refusals, refuse, type RefusalCode } from '../../src/call/refusal.ts'
import { wireRefused } from '../../src/door/wire.ts'
import { rfc3339 } from '../../src/lib/clock.ts'

/** A refusal has a private reason and a public face: what an agent is told is no way to learn what it may not know. */

const isCode = (text: string): text is RefusalCode => Object.hasOwn(refusals, text)
const codes = Object.keys(refusals).filter(isCode)
const stages = ['authenticate', 'bind', 'resolve', 'decide', 'approve', 'intend', 'any']
/** Words that the public texts cannot hold by chance. */
const secret = fc.string({ minLength: 1, maxLength: 40 }).map((text) => `⟪${text}⟫`)

describe('the public face of a refusal', () => {
  it('never shows the reason nor what was known, whatever they hold', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...codes),
        fc.constantFrom(...stages),
        secret,
        fc.constantFrom('tools/call', 'resources/read', 'prompts/get', 'completion/complete'),
        fc.constantFrom('modern' as const, 'legacy' as const),
        fc.option(
          fc.record({
            id: fc.constant('a_0000000000000000000001'),
            expiresAt: fc.integer({ min: 0, max: 1e12 }),
          }),
        ),
        (code, stage, reason, method, era, ask) => {
          const known = {
            task: reason,
            policy: reason,
            policies: [reason],
            operation: reason,
            arguments: { [reason]: reason },
          }
          const refused = refuse(code, stage, reason, { known, ...(ask === null ? {} : { ask }) })
          const asked = { method, era, call: 'c_0000000000000000000001', uri: null, outputSchema: false }
          const wire = wireRefused(refused, asked)
          const shown = JSON.stringify(wire)
          assert.ok(!shown.includes('⟪') && !shown.includes(JSON.stringify(reason).slice(1, -1)))
          assert.ok(!shown.includes('a_0000000000000000000001'), 'the ask is named to people, not to agents')
        },
      ),
    )
  })

  it('says what to do and, when it waits, until when', () => {
    for (const code of codes) {
      const refused = refuse(code, 'decide', 'r', { hint: 'a hint', ask: { id: 'a_1', expiresAt: 1000 } })
      const asked = {
        method: 'tools/call',
        era: 'modern',
        call: 'c_1',
        uri: null,
        outputSchema: false,
      } as const
      const shown = JSON.stringify(wireRefused(refused, asked))
      assert.ok(shown.includes('a hint'), code)
      assert.ok(shown.includes(refusals[code].tell.slice(0, 20)), code)
      if (refusals[code].family === 'waiting') assert.ok(shown.includes(rfc3339(1000)), code)
    }
  })
})

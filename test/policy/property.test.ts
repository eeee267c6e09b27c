import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { isAuthorized } from '@cedar-policy/cedar-wasm/nodejs'
import { proofClasses } from '../../src/approval/ask.ts'
import type { ApprovalFacts } from '../../src/approval/ask.ts'
import { confidentialities } from '../../src/flow/labels.ts'
import { loadPoliciesHere } from '../../src/policy/load.ts'
import type { LoadedPolicies } from '../../src/policy/snapshot.ts'
import { contextFor, entitiesFor } from '../../src/policy/request.ts'
import type { ReadTree } from '../../src/policy/reads.ts'
import { inputShape } from '../../src/policy/shape.ts'
import type { Asked } from '../../src/policy/vocabulary.ts'
import { effects } from '../../src/registry/tool.ts'
import type { Tool } from '../../src/registry/tool.ts'
import { bound, question, tool } from './given.ts'

/** Policies from a small grammar, questions at random, and the engine itself without our slicing as the oracle. */

const atom = fc.constantFrom(
  'context has approval',
  'context has approval && context.approval.count >= 2',
  'context has approval && context.approval.independent',
  'context has approval && context.approval.proof > 1',
  'context has approval && context.approval.count == 2',
  'context has approval && context.approval.proof < 3',
  'resource.environment == context.task.environment',
  'context.labels.confidentiality >= 2',
  'context.labels.untrusted',
  'context.task.purpose == "general"',
  'context.task.environment == "production" || context.labels.confidentiality > context.history.calls',
  'context.labels == {confidentiality: 1, untrusted: true}',
  'context.task has purpose',
  'context.labels.sources.contains("files/write_file")',
  'context.input has path && context.input.path like "/srv/*"',
  'context.history.calls > 3',
  'action in Action::"effect:write"',
  'principal == Agent::"coder"',
  'principal.name like "c*"',
  'context.history.calls * 9007199254740991 * 500 > 0',
)

const condition = fc.letrec<{ readonly tree: string }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 3 },
    atom,
    fc.tuple(tie('tree'), tie('tree')).map(([a, b]) => `((${a}) && (${b}))`),
    fc.tuple(tie('tree'), tie('tree')).map(([a, b]) => `((${a}) || (${b}))`),
    tie('tree').map((a) => `!(${a})`),
    fc.tuple(tie('tree'), tie('tree'), tie('tree')).map(([a, b, c]) => `(if (${a}) then (${b}) else (${c}))`),
  ),
})).tree

const scope = fc.constantFrom(
  'principal, action, resource',
  'principal is Agent, action in Action::"effect:write", resource',
  'principal, action in [Action::"effect:read", Action::"effect:delete"], resource',
  'principal, action == Action::"files/write_file", resource',
  'principal, action, resource in Server::"files"',
  'principal in Person::"owner", action in Action::"server:files", resource',
)

const policy = fc.record({
  effect: fc.constantFrom('permit', 'forbid'),
  scope,
  kind: fc.constantFrom('when', 'unless'),
  condition,
})
const policies = fc
  .array(policy, { minLength: 1, maxLength: 6 })
  .map((all) =>
    all.map(
      (one, index) => `@id("p${index}") ${one.effect} (${one.scope}) ${one.kind} { ${one.condition} };`,
    ),
  )

const facts: fc.Arbitrary<ApprovalFacts> = fc.record({
  count: fc.integer({ min: 1, max: 4 }),
  independent: fc.boolean(),
  proof: fc.constantFrom(...proofClasses),
})

const asked: fc.Arbitrary<Asked> = fc
  .record({
    effects: fc.subarray([...effects]),
    environment: fc.constantFrom('development', 'production'),
    path: fc.constantFrom('/srv/a', '/etc/b', undefined),
    calls: fc.integer({ min: 0, max: 6 }),
    confidentiality: fc.constantFrom(...confidentialities),
    untrusted: fc.boolean(),
  })
  .map((of) => {
    const args = of.path === undefined ? {} : { path: of.path }
    const integrity = of.untrusted ? 'untrusted' : 'trusted'
    return question(tool({ effects: of.effects, environment: of.environment }), args, {
      labels: { confidentiality: of.confidentiality, integrity, sources: [] },
      bound: { ...bound(), usage: { calls: of.calls, effects: {} } },
    })
  })

/** The policies that load by themselves: others are what the loader is there to refuse. */
function loadable(
  texts: readonly string[],
  of: Tool,
): { readonly snapshot: LoadedPolicies; readonly text: string } | null {
  const first = loadPoliciesHere({ sources: [{ name: 'p', text: texts.join('\n') }], tools: [of] })
  const bad = new Set(first.ok ? [] : first.problems.map(({ line }) => line))
  const text = texts.filter((_, index) => !bad.has(index + 1)).join('\n')
  const loaded = loadPoliciesHere({ sources: [{ name: 'p', text }], tools: [of] })
  return loaded.ok && text !== '' ? { snapshot: loaded.snapshot, text } : null
}

const rungs: readonly (ApprovalFacts | null)[] = [
  null,
  ...[1, 2, 3, 4].flatMap((count) =>
    [false, true].flatMap((independent) => proofClasses.map((proof) => ({ count, independent, proof }))),
  ),
]

const atLeast = (high: ApprovalFacts | null, low: ApprovalFacts | null): boolean =>
  low === null ||
  (high !== null &&
    high.count >= low.count &&
    (high.independent || !low.independent) &&
    proofClasses.indexOf(high.proof) >= proofClasses.indexOf(low.proof))

const runs = { numRuns: 150 }
const whole: ReadTree = { whole: true, names: new Map() }

describe('for any policies that load and any question', () => {
  test('more approval never allows less', () => {
    fc.assert(
      fc.property(policies, asked, (texts, of) => {
        const found = loadable(texts, of.tool)
        if (found === null) return
        const decisions = rungs.map(
          (approval) => found.snapshot.judge({ ...of, approval }).decision === 'allow',
        )
        rungs.forEach((low, i) =>
          rungs.forEach((high, j) => {
            if (atLeast(high, low) && decisions[i] === true)
              assert.equal(decisions[j], true, `${found.text}\n${JSON.stringify([low, high])}`)
          }),
        )
      }),
      runs,
    )
  })

  test('an ask names the least approval that allows', () => {
    fc.assert(
      fc.property(policies, asked, (texts, of) => {
        const found = loadable(texts, of.tool)
        if (found === null) return
        const { decision, requirement } = found.snapshot.judge(of)
        const allowed = rungs.filter(
          (approval) => approval !== null && found.snapshot.judge({ ...of, approval }).decision === 'allow',
        )
        if (decision !== 'ask') return assert.ok(decision === 'allow' || allowed.length === 0)
        assert.ok(requirement)
        assert.equal(found.snapshot.judge({ ...of, approval: requirement }).decision, 'allow')
        const weaker = allowed.filter(
          (one) => one !== null && atLeast(requirement, one) && !atLeast(one, requirement),
        )
        assert.deepEqual(weaker, [])
      }),
      runs,
    )
  })

  test('the slice decides as the engine does on all policies with everything passed in', () => {
    fc.assert(
      fc.property(policies, asked, fc.option(facts), (texts, of, approval) => {
        const found = loadable(texts, of.tool)
        if (found === null) return
        const judged = found.snapshot.judge({ ...of, approval })
        if (approval === null && judged.decision === 'ask') return
        const everything = {
          context: whole,
          principal: whole,
          resource: whole,
          ids: { principal: true, action: true, resource: true },
        }
        const answer = isAuthorized({
          ...entitiesFor(of, everything),
          context: contextFor({ question: of, target: {}, approval }, whole, {
            shape: inputShape(of.tool),
            measures: [],
          }),
          policies: { staticPolicies: found.text },
        })
        assert.ok(answer.type === 'success')
        const { decision, diagnostics } = answer.response
        const fault = diagnostics.errors.length > 0
        assert.equal(judged.decision, fault ? 'deny' : decision, found.text)
        assert.equal(judged.errors.length > 0, fault)
      }),
      runs,
    )
  })

  test('the same question gets the same bytes, from this snapshot and from another of the same set', () => {
    fc.assert(
      fc.property(policies, asked, (texts, of) => {
        const one = loadable(texts, of.tool)
        const two = loadable(texts, of.tool)
        if (one === null || two === null) return
        assert.equal(one.snapshot.version, two.snapshot.version)
        const bytes = JSON.stringify(one.snapshot.judge(of))
        assert.equal(JSON.stringify(one.snapshot.judge(of)), bytes)
        assert.equal(JSON.stringify(two.snapshot.judge(structuredClone(of))), bytes)
      }),
      { numRuns: 20 },
    )
  })

  test('judging never throws', () => {
    const snapshot = loadable(
      [
        '@id("a") permit (principal, action, resource) when { context.input has path && context.task.id == "x" && context.labels.untrusted };',
      ],
      tool(),
    )
    assert.ok(snapshot)
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.anything(), (args, labels) => {
        const wild = { ...question(tool(), JSON.parse(JSON.stringify(args))), labels: labels as never }
        assert.ok(['allow', 'deny', 'ask'].includes(snapshot.snapshot.judge(wild).decision))
      }),
    )
  })
})

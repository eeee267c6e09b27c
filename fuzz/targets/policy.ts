import fc from 'fast-check'
import { isAuthorized } from '@cedar-policy/cedar-wasm/nodejs'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { bound, question, tool } from '../../test/policy/given.ts'
import { contextFor, entitiesFor } from '../../src/policy/request.ts'
import { inputShape } from '../../src/policy/shape.ts'
import { loadPoliciesHere } from '../../src/policy/load.ts'
import { parseSources } from '../../src/policy/parse.ts'
import { proofClasses, type ApprovalFacts } from '../../src/approval/ask.ts'
import { bytes, hold, text, type Input, type Target } from '../target.ts'
import type { Asked } from '../../src/policy/vocabulary.ts'
import type { LoadedPolicies } from '../../src/policy/snapshot.ts'
import type { Problem } from '../../src/policy/split.ts'
import type { ReadTree } from '../../src/policy/reads.ts'

const tools = [
  tool({ targets: { path: '/path' } }),
  tool({ server: 'mail', name: 'send', effects: ['egress', 'read'], environment: 'production', properties: { to: { type: 'string' }, count: { type: 'integer' }, cc: { type: 'array', items: { type: 'string' } }, amount: { type: 'number' } } }),
] as const // prettier-ignore

const questions: readonly Asked[] = [
  question(tools[0], { path: '/srv/a', content: 'x' }),
  question(tools[0], { path: '/etc/b' }, { labels: { confidentiality: 'secret', integrity: 'untrusted', sources: [] }, environment: 'production' }),
  question(tools[1], { to: 'a@b.example', count: 3, cc: ['x'], amount: 19.99 }, { bound: { ...bound(), usage: { calls: 4, effects: { write: 1 } } } }),
  question(tools[1], {}, { bound: bound({ environment: 'production', history: { refused: 2, unknown: ['f'] } }) }),
] // prettier-ignore

const sound = '@id("sound") permit (principal, action, resource);'

/** Policy files: text that is read, analysed, and, when it is sound, decided with. */
export async function open(): Promise<Target> {
  const folder = join(import.meta.dirname, '../../policies')
  const files = readdirSync(folder).map((file) => readFileSync(join(folder, file), 'utf8'))
  const statements = files.flatMap((file) => file.split(/(?<=;)\n/)).filter((one) => one.includes('@id'))
  return {
    atOnce: 1,
    most: 4096,
    words,
    seeds: [sound, ...own, ...statements].map(bytes),
    fresh: grammar().map(bytes),
    run,
  }
}

function run(input: Input): void {
  const words = text(input)
  const sources = [{ name: 'p.cedar', text: words }]
  const loaded = loadPoliciesHere({ sources, tools })
  if (!loaded.ok) {
    hold(loaded.problems.length > 0, 'what does not load has problems')
    for (const problem of loaded.problems) checkProblem(problem, words)
    // The engine runs as WebAssembly: what breaks it once breaks it for everybody.
    if (loaded.problems.some(({ message }) => /unreachable|memory|panic/i.test(message)))
      hold(parseSources([{ name: 's', text: sound }]).problems.length === 0, 'the engine outlives every text')
    return
  }
  for (const asked of questions) {
    checkMonotone(loaded.snapshot, asked)
    checkSlice(loaded.snapshot, asked, words)
  }
}

function checkProblem({ file, line, column, message, hint }: Problem, words: string): void {
  hold(message !== '' && hint !== '', 'a problem says what and what to do')
  if (file === '') return
  const lines = words.split('\n')
  const place = (): string => `${line}:${column} of ${lines.length} lines: ${message}`
  hold(line >= 1 && line <= lines.length, 'a problem has a line of the file', place)
  hold(
    column >= 1 && column <= (lines[line - 1]?.length ?? 0) + 2,
    'a problem has a column of its line',
    place,
  )
}

const rungs: readonly (ApprovalFacts | null)[] = [
  null,
  ...[1, 2, 3].flatMap((count) =>
    [false, true].flatMap((independent) => proofClasses.map((proof) => ({ count, independent, proof }))),
  ),
]

const atLeast = (high: ApprovalFacts | null, low: ApprovalFacts | null): boolean =>
  low === null ||
  (high !== null &&
    high.count >= low.count &&
    (high.independent || !low.independent) &&
    proofClasses.indexOf(high.proof) >= proofClasses.indexOf(low.proof))

function checkMonotone(snapshot: LoadedPolicies, asked: Asked): void {
  const allowed = rungs.map((approval) => snapshot.judge({ ...asked, approval }).decision === 'allow')
  for (const [i, low] of rungs.entries()) {
    if (!(allowed[i] ?? false)) continue
    for (const [j, high] of rungs.entries())
      hold(!atLeast(high, low) || (allowed[j] ?? false), 'more approval never allows less', () =>
        JSON.stringify([low, high]),
      )
  }
  const plain = snapshot.judge(asked)
  if (plain.decision === 'ask') {
    hold(plain.requirement !== null, 'an ask says what it takes')
    hold(
      snapshot.judge({ ...asked, approval: plain.requirement }).decision === 'allow',
      'what an ask asks for allows',
    )
  } else if (plain.decision === 'deny')
    hold(
      !allowed.includes(true) || plain.errors.length > 0,
      'what an approval allows is asked for, not denied',
    )
}

const whole: ReadTree = { whole: true, names: new Map() }
const everything = {
  context: whole,
  principal: whole,
  resource: whole,
  ids: { principal: true, action: true, resource: true },
}

/** What policies are said to read is all they read: with everything passed in, the engine itself decides the same. */
function checkSlice(snapshot: LoadedPolicies, asked: Asked, words: string): void {
  for (const approval of [null, { count: 1, independent: false, proof: 'terminal' } as const]) {
    const judged = snapshot.judge({ ...asked, approval })
    if (judged.decision === 'ask') continue
    const target = /\btarget\b/.test(words) ? null : {}
    if (target === null) return
    const answer = isAuthorized({
      ...entitiesFor(asked, everything),
      context: contextFor({ question: asked, target, approval }, whole, {
        shape: inputShape(asked.tool),
        measures: [],
      }),
      policies: { staticPolicies: words },
    })
    if (answer.type !== 'success') continue
    const { decision, diagnostics } = answer.response
    const fault = diagnostics.errors.length > 0
    hold(
      judged.decision === (fault ? 'deny' : decision),
      'the slice decides as the engine does on everything',
      () => `${words}\n${JSON.stringify([judged, answer.response])}`,
    )
  }
}

const words = ['@id("a")', '@reason("r")', 'permit', 'forbid', 'when', 'unless', 'principal', 'action', 'resource', 'context', 'in', 'is', 'has', 'like', 'if', 'then', 'else', 'true', 'false', '&&', '||', '!', '==', '!=', '<', '<=', '>', '>=', '+', '-', '*', '.contains', '.containsAny', '.isEmpty()', 'Action::"effect:write"', 'Action::"mail/send"', 'Server::"files"', 'Tool::"files/write_file"', 'Agent::"coder"', 'Person::"owner"', 'context.approval.count', 'context.approval.independent', 'context.approval.proof', 'context.labels.confidentiality', 'context.labels.untrusted', 'context.history.calls', 'context.task.environment', 'context.input.path', 'context has approval', 'context.input has path', 'context.target.path', 'decimal("1.0")', '.lessThan(', '.greaterThan(', 'ip("1.1.1.1")', 'datetime("2026-01-01")', '9223372036854775807', '?principal', '"*"', '\\u{1f600}', '// c\n', '{', '}', '(', ')', ';', '[', ']', '-1', 'resource.environment', 'principal.name'] // prettier-ignore

const own = [
  '@id("a") permit (principal, action in Action::"effect:write", resource) when { context has approval && context.approval.count >= 2 };',
  '@id("b") forbid (principal is Agent, action == Action::"files/write_file", resource in Server::"files") unless { context has approval && context.approval.independent };',
  '@id("c") permit (principal, action == Action::"mail/send", resource) when { context.input has cc && context.input.cc.contains("x") && context.input has amount && context.input.amount.lessThan(decimal("20.0")) };',
  '@id("d") permit (principal, action, resource) when { if context.labels.untrusted then context has approval else context.history.calls < 10 };',
  '@id("e") forbid (principal, action, resource) when { context.target has path && context.target.path like "/etc/*" };',
  '@id("f") permit (principal, action in [Action::"effect:read", Action::"kind:tool"], resource) unless { principal.name like "x*" || resource.environment != context.task.environment };',
] // prettier-ignore

/** Conditions put together from what policies say, so that most of them load. */
function grammar(): fc.Arbitrary<string> {
  const atom = fc.constantFrom('context has approval', 'context has approval && context.approval.count >= 2', 'context has approval && context.approval.independent', 'context has approval && context.approval.proof > 1', 'resource.environment == context.task.environment', 'context.labels.confidentiality >= 2', 'context.labels.untrusted', 'context.history.calls > 3', 'action in Action::"effect:write"', 'principal == Agent::"coder"', 'principal.name like "c*"', 'true', 'context.approval.count == 1', '(context has approval) == true', '(context has approval) != false', 'context.history.calls * 9007199254740991 * 500 > 0') // prettier-ignore
  const condition = fc.letrec<{ readonly tree: string }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      atom,
      fc.tuple(tie('tree'), tie('tree')).map(([a, b]) => `((${a}) && (${b}))`),
      fc.tuple(tie('tree'), tie('tree')).map(([a, b]) => `((${a}) || (${b}))`),
      tie('tree').map((a) => `!(${a})`),
      fc.tuple(tie('tree'), fc.constantFrom('true', 'false')).map(([a, b]) => `((${a}) == ${b})`),
      fc
        .tuple(tie('tree'), tie('tree'), tie('tree'))
        .map(([a, b, c]) => `(if (${a}) then (${b}) else (${c}))`),
    ),
  })).tree
  const scope = fc.constantFrom('principal, action, resource', 'principal is Agent, action in Action::"effect:write", resource', 'principal, action == Action::"files/write_file", resource', 'principal, action, resource in Server::"mail"', 'principal in Person::"owner", action in Action::"server:files", resource') // prettier-ignore
  const policy = fc.record({
    effect: fc.constantFrom('permit', 'forbid'),
    scope,
    kind: fc.constantFrom('when', 'unless'),
    condition,
  })
  return fc
    .array(policy, { minLength: 1, maxLength: 4 })
    .map((all) =>
      all
        .map((one, i) => `@id("p${i}") ${one.effect} (${one.scope}) ${one.kind} { ${one.condition} };`)
        .join('\n'),
    )
}

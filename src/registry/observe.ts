import { atOnce, type Sliced } from '../lib/slices.ts'
import { createLinter } from './lint.ts'
import { digest, idOf, nameOf } from './define.ts'
import { drift } from './drift.ts'
import { infer } from './effects.ts'
import { vet } from './vet.ts'
import type { Catalogue, Definition, Finding, Tool } from './tool.ts'
import type { JsonObject } from '../lib/json.ts'
import type { Linter, Other } from './lint.ts'

export type Observed = {
  /** Tools as they are from now on; only those that changed. */
  readonly changed: readonly Tool[]
  /** One act for each of them, same order. */
  readonly acts: readonly ToolAct[]
}

export type ToolAct = {
  readonly act: 'tool-quarantined' | 'tool-restored' | 'tool-removed'
  /** The tool's id. */
  readonly subject: string
  readonly detail: JsonObject
}

export type Observation = {
  /** Every tool of this server, tombstones too. */
  readonly current: readonly Tool[]
  readonly catalogue: Catalogue
  readonly others: readonly Other[]
}

/**
 * What a server's catalogue means for its tools: new and changed ones go into quarantine (that tool only; what was
 * reviewed stays pinned), one that is back to its pinned digest is reviewed again, one that is gone leaves a
 * tombstone with its review. Pure: the same observation twice changes nothing the second time (incidents 3 and 11).
 */
export const observe = (observation: Observation): Observed => atOnce(observing(observation))

/** The same in steps: 10,000 definitions take longer than calls may wait. */
export function* observing(observation: Observation): Sliced<Observed> {
  const { current, catalogue } = observation
  const known = new Map(current.map((tool) => [tool.id, tool]))
  const own = catalogue.definitions.map((definition) => definition.name)
  const linter = createLinter({ others: observation.others, own })
  const results: Result[] = []
  const offered = new Set<string>()
  for (const definition of catalogue.definitions) {
    yield
    const id = idOf(catalogue.server, definition)
    if (offered.has(id)) continue
    offered.add(id)
    const result = observeOne(
      known.get(id) ?? null,
      { id, server: catalogue.server, definition, digest: digest(definition) },
      linter,
    )
    if (result !== null) results.push(result)
  }
  for (const tool of current) {
    if (offered.has(tool.id) || tool.state === 'removed') continue
    results.push({
      tool: { ...tool, state: 'removed' },
      act: 'tool-removed',
      because: 'the server no longer offers it',
    })
  }
  const acts: ToolAct[] = []
  for (const result of results) {
    yield
    acts.push({ act: result.act, subject: result.tool.id, detail: detailOf(result) })
  }
  return { changed: results.map((result) => result.tool), acts }
}

type Seen = {
  readonly id: string
  readonly server: string
  readonly definition: Definition
  readonly digest: string
}
type Result = { readonly tool: Tool; readonly act: ToolAct['act']; readonly because: string }

function observeOne(tool: Tool | null, seen: Seen, linter: Linter): Result | null {
  const base = {
    id: seen.id,
    server: seen.server,
    kind: seen.definition.kind,
    name: nameOf(seen.definition),
    digest: seen.digest,
    definition: seen.definition,
  }
  if (tool === null) {
    const findings = examine(seen.definition, linter)
    return {
      tool: { ...base, state: 'quarantined', pinned: null, review: null, findings },
      act: 'tool-quarantined',
      because: 'new',
    }
  }
  const isPinned = tool.review !== null && tool.review.digest === seen.digest
  if (isPinned) {
    if (tool.state === 'reviewed' && tool.digest === seen.digest) return null
    const findings = examine(seen.definition, linter)
    return {
      tool: { ...base, state: 'reviewed', pinned: seen.definition, review: tool.review, findings },
      act: 'tool-restored',
      because: 'back to the definition that was reviewed',
    }
  }
  if (tool.digest === seen.digest && tool.state === 'quarantined') return null
  const findings = [...changeFinding(tool, seen.definition), ...examine(seen.definition, linter)]
  const because = tool.digest === seen.digest ? 'offered again, not reviewed' : 'changed'
  return {
    tool: { ...base, state: 'quarantined', pinned: tool.pinned, review: tool.review, findings },
    act: 'tool-quarantined',
    because,
  }
}

/** Everything that a reviewer should see about a definition. */
export function examine(definition: Definition, linter: Linter): readonly Finding[] {
  const vetted = definition.inputSchema === undefined ? null : vet(definition.inputSchema)
  const schema: readonly Finding[] =
    vetted === null || vetted.ok
      ? []
      : [
          {
            rule: 'schema',
            severity: 'danger',
            message: `it cannot be called, as its arguments cannot be checked: ${vetted.problem}`,
            at: '/inputSchema',
          },
        ]
  return [...schema, ...infer(definition).findings, ...linter.lint(definition)]
}

function changeFinding(tool: Tool, definition: Definition): readonly Finding[] {
  if (tool.pinned === null) return []
  const { changes, newlyRead, severity } = drift(tool.pinned, definition)
  if (severity === null) return []
  const message = `${changes.length} ${changes.length === 1 ? 'change' : 'changes'} since the review; a model would newly read ${newlyRead.length} ${newlyRead.length === 1 ? 'sentence' : 'sentences'}`
  return [{ rule: 'changed', severity, message, at: '' }]
}

/** For the entry: digests and rules. No words of the server's, which could be long, or aimed at whoever reads the log. */
function detailOf({ tool, because }: Result): JsonObject {
  const changes =
    tool.state === 'quarantined' && tool.pinned !== null ? drift(tool.pinned, tool.definition).changes : []
  return {
    because,
    digest: tool.digest,
    pinned: tool.review?.digest ?? null,
    findings: [...new Set(tool.findings.map((finding) => `${finding.severity}: ${finding.rule}`))]
      .sort()
      .slice(0, 40),
    changes: [...new Set(changes.map((change) => change.kind))].sort(),
  }
}

import { noHeads } from '../../src/testing/samples.ts'
import assert from 'node:assert/strict'
import { clean } from '../../src/flow/labels.ts'
import type { Caller } from '../../src/identity/caller.ts'
import type { JsonObject } from '../../src/lib/json.ts'
import { loadPoliciesHere } from '../../src/policy/load.ts'
import type { Problem } from '../../src/policy/split.ts'
import type { LoadedPolicies } from '../../src/policy/snapshot.ts'
import { toolId } from '../../src/registry/tool.ts'
import type { Effect, Targets, Tool, ToolKind } from '../../src/registry/tool.ts'
import { noUsage } from '../../src/task/task.ts'
import type { TaskSnapshot } from '../../src/task/task.ts'
import type { Asked } from '../../src/policy/vocabulary.ts'

/** What tests of policies start from: a reviewed tool, an open task, a question. */

type ToolParts = {
  readonly server?: string
  readonly kind?: ToolKind
  readonly name?: string
  readonly effects?: readonly Effect[]
  readonly environment?: string
  readonly targets?: Targets
  readonly properties?: JsonObject
  readonly required?: readonly string[]
  readonly state?: Tool['state']
  readonly inputSchema?: JsonObject
}

export function tool(parts: ToolParts = {}): Tool {
  const { server = 'files', kind = 'tool', name = 'write_file' } = parts
  const inputSchema = parts.inputSchema ?? {
    type: 'object',
    properties: parts.properties ?? { path: { type: 'string' }, content: { type: 'string' } },
    required: parts.required ?? [],
  }
  const definition = { kind, name, inputSchema }
  const digest = `sha256:${'0'.repeat(64)}`
  return {
    id: toolId(server, kind, name),
    server,
    kind,
    name,
    state: parts.state ?? 'reviewed',
    digest,
    definition,
    pinned: definition,
    review: {
      digest,
      effects: parts.effects ?? ['write'],
      environment: parts.environment ?? 'development',
      confidentiality: 'internal',
      integrity: 'untrusted',
      targets: parts.targets ?? {},
      reviewer: 'operator',
      at: '2026-01-05T10:00:00.000Z',
    },
    findings: [],
  }
}

/** A Monday, 10:00 UTC. */
export const monday = Date.UTC(2026, 0, 5, 10)

export const caller: Caller = {
  kind: 'agent',
  name: 'coder',
  onBehalfOf: 'owner',
  proven: 'task-token',
  issuer: 'countersign',
  task: 't_1',
  tokenId: 'token',
  expiresAt: monday + 600_000,
}

export function bound(
  parts: { readonly environment?: string; readonly history?: Partial<TaskSnapshot['history']> } = {},
): TaskSnapshot {
  return {
    task: {
      id: 't_1',
      parent: null,
      agent: 'coder',
      owner: 'owner',
      purpose: { class: 'general', words: 'tidy up' },
      environment: parts.environment ?? 'development',
      tools: ['*'],
      budget: { calls: 10 },
      openedAt: monday - 60_000,
      expiresAt: monday + 3_600_000,
      idleMs: 0,
      state: 'open',
      closedAt: null,
      closedBecause: null,
      context: {},
    },
    ancestors: [],
    labels: clean,
    usage: noUsage,
    ancestorUsage: [],
    history: { tools: [], refused: 0, inFlight: 0, unknown: [], ...parts.history },
    lastCallAt: monday,
    labelsRevision: 1,
    historyRevision: 1,
    memoryRevision: 0,
    flow: { task: 0, above: [], person: 0, sinks: 0 },
    heads: noHeads,
  }
}

export function question(of: Tool, args: JsonObject = {}, more: Partial<Asked> = {}): Asked {
  return {
    caller,
    bound: bound(),
    tool: of,
    arguments: args,
    operation: 'call',
    fingerprint: 'f',
    labels: clean,
    environment: 'development',
    now: monday,
    approval: null,
    ...more,
  }
}

export function load(text: string, tools: readonly Tool[]): LoadedPolicies {
  const loaded = loadPoliciesHere({ sources: [{ name: 'test.cedar', text }], tools })
  assert.ok(loaded.ok, loaded.ok ? '' : JSON.stringify(loaded.problems, null, 1))
  return loaded.snapshot
}

export function problems(text: string, tools: readonly Tool[]): readonly Problem[] {
  const loaded = loadPoliciesHere({ sources: [{ name: 'test.cedar', text }], tools })
  return loaded.ok ? [] : loaded.problems
}

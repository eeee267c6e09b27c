import { canonical } from '../lib/jcs.ts'
import { createHash } from 'node:crypto'
import { infer } from './effects.ts'
import { rfc3339 } from '../lib/clock.ts'
import type { Clock } from '../lib/clock.ts'
import type { EntryBytes, ServerRecord } from '../store/ports.ts'
import type { JsonObject } from '../lib/json.ts'
import type { Recorder } from '../audit/recorder.ts'
import type { Review, Tool } from './tool.ts'
import type { ToolAct } from './observe.ts'

/** Who did it and how that was proven: `none` for the broker's own acts. */
export type By = { readonly name: string; readonly proof: string }

export type Acts = {
  act(what: {
    readonly act: string
    readonly by: By
    readonly subject: string
    readonly detail: JsonObject
  }): EntryBytes
  tool(act: ToolAct, by: By): EntryBytes
  /** `from` is `operator` for a review made here, `file` for an imported one. */
  review(tool: Tool, review: Review, by: By, from?: 'operator' | 'file'): EntryBytes
  server(act: 'server-added' | 'server-removed', record: ServerRecord, by: By): EntryBytes
}

/** Entries for what happens to servers and tools. Nothing that a server wrote is in them but names and digests. */
export function createActs({
  recorder,
  clock,
  broker,
}: {
  readonly recorder: Pick<Recorder, 'encode'>
  readonly clock: Clock
  readonly broker: string
}): Acts {
  const act: Acts['act'] = ({ act: name, by, subject, detail }) =>
    recorder.encode({
      v: 1,
      at: rfc3339(clock.now()),
      broker,
      kind: 'act',
      act: name,
      by: by.name,
      proof: by.proof,
      subject: subject.slice(0, 2300),
      detail,
    })
  return {
    act,
    tool: (change, by) => act({ ...change, by }),
    review: (tool, review, by, from = 'operator') => {
      const { effects, environment, confidentiality, integrity, targets, digest, reviewer } = review
      const inferred = infer(tool.definition)
      // What was proposed stands beside what was decided: an auditor sees where a person lowered it.
      return act({
        act: 'tool-reviewed',
        by,
        subject: tool.id,
        detail: {
          digest,
          before: tool.pinned === null ? null : (tool.review?.digest ?? null),
          effects,
          proposed: inferred.effects,
          environment,
          confidentiality,
          integrity,
          targets: { ...targets },
          reviewer,
          from,
        },
      })
    },
    server: (name, record, by) => {
      const { environment, source, config } = record
      // The digest pins command, arguments and environment (incident 11); the configuration itself may be long.
      const digest = `sha256:${createHash('sha256').update(canonical(config)).digest('hex')}`
      const reach = typeof config.url === 'string' ? 'http' : 'stdio'
      return act({
        act: name,
        by,
        subject: record.name,
        detail: { environment, source, reach, config: digest },
      })
    },
  }
}

import { canonical } from '../lib/jcs.ts'
import { createHash } from 'node:crypto'
import { infer } from './effects.ts'
import { rfc3339 } from '../lib/clock.ts'
import type { Clock } from '../lib/clock.ts'
import type { EntryBytes, ServerRecord } from '../store/ports.ts'
import type { JsonObject } from '../lib/json.ts'
import type { Recorder } from '../audit/recorder.ts'
import type { Profile } from './profile.ts'
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
  /** `from` is `operator` for a review made here, `file` for an imported one; `profile` is what proposed it. */
  review(tool: Tool, review: Review, by: By, origin?: ReviewOrigin): EntryBytes
  server(act: 'server-added' | 'server-removed', record: ServerRecord, by: By): EntryBytes
}

export type ReviewOrigin = {
  readonly from: 'operator' | 'file'
  readonly profile: Pick<Profile, 'name' | 'digest'> | null
  /** Effects that were proposed. */
  readonly proposed?: Review['effects']
}

const here: ReviewOrigin = { from: 'operator', profile: null }

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
    review: (tool, review, by, { from, profile, proposed } = here) => {
      const { effects, environment, confidentiality, integrity, targets, digest, reviewer } = review
      // What was proposed stands beside what was decided: an auditor sees where a person lowered it.
      return act({
        act: 'tool-reviewed',
        by,
        subject: tool.id,
        detail: {
          digest,
          before: tool.pinned === null ? null : (tool.review?.digest ?? null),
          effects,
          proposed: proposed ?? infer(tool.definition).effects,
          environment,
          confidentiality,
          integrity,
          targets: { ...targets },
          ...(review.bears === undefined
            ? {}
            : { bears: review.bears.map(({ at, kind }) => ({ at, kind })) }),
          ...(review.results === undefined ? {} : { results: digestOf(review.results) }),
          ...(profile === null ? {} : { profile: { name: profile.name, digest: profile.digest } }),
          reviewer,
          from,
        },
      })
    },
    server: (name, record, by) => {
      const { environment, source, config } = record
      // The digest pins command, arguments and environment (incident 11); the configuration itself may be long.
      const digest = digestOf(config)
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

/** `sha256:` + 64 hex over the canonical form. */
const digestOf = (value: object): string =>
  `sha256:${createHash('sha256')
    .update(canonical(JSON.parse(JSON.stringify(value))))
    .digest('hex')}`

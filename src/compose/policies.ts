import { createHash } from 'node:crypto'
import { defaultStarter, readStarter } from '../policy/starter.ts'
import { join } from 'node:path'
import { readdir, readFile } from 'node:fs/promises'
import { brokerActor, type Actor, type Acts } from '../identity/actor.ts'
import type { Config } from '../config/schema.ts'
import type { Loaded } from '../policy/load.ts'
import type { LivePolicies } from '../policy/live.ts'
import type { PolicyFile } from '../door/operator/parts.ts'
import type { PolicySet, PolicyStore } from '../store/ports.ts'
import type { Problem } from '../policy/split.ts'

/** So long a set that does not load here is not tried again: calls are refused meanwhile, and cost nothing. */
const failingMs = 1000

/** A set of policies that does not load: the broker does not start with it, and makes no call under it. */
export class PolicyError extends Error {
  override readonly name = 'PolicyError'
  readonly hint =
    'correct it, or name another set under `policy` in the configuration, which also takes the place of a swapped one'
}

export const policyError = (problems: readonly Problem[]): PolicyError =>
  new PolicyError(
    problems
      .map(({ file, line, column, message, hint }) => `${file}:${line}:${column}: ${message} (${hint})`)
      .join('\n'),
  )

/** What to start with, and what the configuration says. */
export type Starting = { readonly files: readonly PolicyFile[]; readonly configured: readonly PolicyFile[] }

/**
 * The policy set to start with: the one that is live, as long as the configuration still says what it said when that
 * was put; else what the configuration says. So a swap outlives a restart, and whoever changes the configuration gets
 * that, on every node.
 */
export async function startingPolicy(
  policy: Config['policy'],
  store: Pick<PolicyStore, 'live'>,
): Promise<Starting> {
  const configured = await configuredPolicy(policy)
  const live = await store.live()
  const holds = live !== null && live.set.over === digestOf(configured)
  return { files: holds ? live.set.files : configured, configured }
}

/** A folder when one is configured, else a starter. */
async function configuredPolicy(policy: Config['policy']): Promise<readonly PolicyFile[]> {
  if (policy.dir === undefined) return readStarter(policy.starter ?? defaultStarter)
  return readFolder(policy.dir, 'policy.dir')
}

/** The `.cedar` files of a folder. Throws `PolicyError`, which names the setting, when it cannot be read. */
export async function readFolder(dir: string, setting: string): Promise<readonly PolicyFile[]> {
  const found = await readdir(dir).catch(() => null)
  if (found === null) throw new PolicyError(`the folder \`${dir}\` of \`${setting}\` cannot be read`)
  const names = found.filter((name) => name.endsWith('.cedar')).sort()
  return Promise.all(names.map(async (name) => ({ name, text: await readFile(join(dir, name), 'utf8') })))
}

const digestOf = (files: readonly PolicyFile[]): string =>
  `sha256:${createHash('sha256')
    .update(JSON.stringify(files.map(({ name, text }) => [name, text])))
    .digest('hex')}`

/** The set that this node decides by, kept the same as the one in the store. One change at a time. */
export type LiveSet = {
  files(): readonly PolicyFile[]
  /** The store's count of sets up to this one; 0 before the first. */
  head(): number
  /** Makes the set that the broker started with the live one, unless it is; an edited file leaves an entry. */
  announce(): Promise<void>
  /** Checked, then durable with its act, then live here; other nodes follow before their next call. */
  swap(files: readonly PolicyFile[], by: Actor): Promise<Loaded>
  /** Comes as far as `head`. Throws `PolicyError` when the store's set does not load here. */
  catchUp(head: number): Promise<void>
}

export function createLiveSet(parts: {
  readonly policies: LivePolicies
  readonly store: PolicyStore
  readonly acts: Acts
  readonly starting: Starting
  readonly now: () => number
}): LiveSet {
  const { policies, store, acts } = parts
  const over = digestOf(parts.starting.configured)
  let { files } = parts.starting
  let head = 0
  let failed: { readonly head: number; readonly error: PolicyError; readonly until: number } | null = null
  let last: Promise<unknown> = Promise.resolve()

  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const mine = last.then(work)
    last = mine.catch(() => undefined)
    return mine
  }
  const setOf = (version: string, given: readonly PolicyFile[]): PolicySet => ({
    version,
    over,
    files: given.map(({ name, text }) => ({ name, text })),
  })

  async function follow(wanted: number): Promise<void> {
    if (head >= wanted) return
    if (failed !== null && failed.head >= wanted && parts.now() < failed.until) throw failed.error
    const live = await store.live()
    if (live === null) throw new PolicyError('the store names no policy set; start one broker again')
    const prepared = await policies.prepare(live.set.files)
    if (!prepared.ok) {
      const error = policyError(prepared.problems)
      failed = { head: live.head, error, until: parts.now() + failingMs }
      throw error
    }
    policies.install(prepared.snapshot)
    files = live.set.files
    head = live.head
  }

  return {
    files: () => files,
    head: () => head,
    announce: () =>
      inTurn(async () => {
        const live = await store.live()
        const { version } = policies.snapshot()
        const same = live !== null && digestOf(live.set.files) === digestOf(files)
        if (same && live.set.over === over) return void (head = Math.max(head, live.head))
        const detail = { version, files: files.map(({ name }) => name), before: live?.set.version ?? null }
        const act = acts({ act: 'policy-loaded', subject: version, detail }, brokerActor)
        head = await store.put(setOf(version, files), act)
      }),
    swap: (given, by) =>
      inTurn(async () => {
        const prepared = await policies.prepare(given)
        if (!prepared.ok) return prepared
        const { version } = prepared.snapshot
        const detail = {
          from: policies.snapshot().version,
          to: version,
          files: given.map(({ name }) => name),
        }
        head = await store.put(
          setOf(version, given),
          acts({ act: 'policy-swapped', subject: version, detail }, by),
        )
        files = given
        return { ok: true, snapshot: policies.install(prepared.snapshot) }
      }),
    catchUp: (wanted) => (head >= wanted ? Promise.resolve() : inTurn(() => follow(wanted))),
  }
}

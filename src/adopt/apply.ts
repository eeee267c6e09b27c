import type { KeyObject } from 'node:crypto'
import type { ServerConfig } from '../config/schema.ts'
import type { Secret } from '../credential/lease.ts'
import type { Named } from '../credential/secret.ts'
import type { Effect } from '../registry/tool.ts'
import { backupFolder, writeBackup, writeManifest } from './backup.ts'
import type { BackedUp, Manifest } from './backup.ts'
import { remaining, withCleanComments, withEntries } from './edit.ts'
import { Changed } from './file.ts'
import type { Files, Snapshot } from './file.ts'
import { digestOf } from './plan.ts'
import type { Plan, PlannedServer } from './plan.ts'

export type Step = { readonly ok: true } | { readonly ok: false; readonly detail: string }

/** What adopt asks of the broker. Each leaves its own entry. */
export type AdoptPorts = {
  addServer(name: string, config: ServerConfig): Promise<Step>
  removeServer(name: string): Promise<Step>
  setSecret(name: string, value: Secret): Promise<Step>
  removeSecret(name: string): Promise<Step>
  /** Fine when there is one of that name. */
  addAgent(name: string): Promise<Step>
  /** Starts or reaches the server once, with these secrets that need not be stored yet, and ends it. */
  listTools(server: {
    readonly name: string
    readonly config: ServerConfig
    readonly secrets: readonly Named[]
  }): Promise<Listed>
}

export type Listed =
  | {
      readonly ok: true
      readonly tools: readonly { readonly name: string; readonly effects: readonly Effect[] }[]
    }
  | { readonly ok: false; readonly detail: string }

export type Rewritten = {
  readonly path: string
  readonly after: string
  /** Values that stay somewhere else in the file, outside the servers adopted, by secret and count. */
  readonly remains: readonly { readonly secret: string; readonly count: number }[]
}

export type Applied =
  | { readonly ok: true; readonly folder: string; readonly files: readonly Rewritten[] }
  | { readonly ok: false; readonly detail: string; readonly notPutBack: readonly string[] }

/** The plan without some of its servers, and without secrets that only those needed. */
export function without(plan: Plan, names: ReadonlySet<string>): Plan {
  const servers = plan.servers.filter((server) => !names.has(server.name))
  const wanted = new Set(servers.flatMap((server) => server.secrets))
  const adoptions = plan.adoptions.filter((adoption) => !names.has(adoption.server))
  return {
    ...plan,
    servers,
    adoptions,
    secrets: plan.secrets.filter((secret) => wanted.has(secret.name)),
    agents: plan.agents.filter((agent) => adoptions.some((adoption) => adoption.client === agent)),
    files: plan.files.filter((file) => adoptions.some((adoption) => adoption.path === file.place.path)),
  }
}

/** Pure: every file of the plan as it will be. */
export function rewrite(plan: Plan): readonly Rewritten[] {
  return plan.files.map(({ place, before }) => {
    const changes = plan.adoptions.filter((adoption) => adoption.path === place.path)
    const values = plan.secrets.map((secret) => secret.value.reveal())
    const after = withCleanComments(withEntries(before.reveal(), changes), values)
    const counts = remaining(after, values)
    const remains = plan.secrets.flatMap((secret, index) => {
      const count = counts[index] ?? 0
      return count > 0 ? [{ secret: secret.name, count }] : []
    })
    return { path: place.path, after, remains }
  })
}

/** Starts each server that the client would start, once. Null tools: it was not started. */
export async function probe(
  plan: Plan,
  ports: Pick<AdoptPorts, 'listTools'>,
): Promise<ReadonlyMap<string, Listed | null>> {
  const found = new Map<string, Listed | null>()
  for (const server of plan.servers) {
    const started = plan.adoptions.some((adoption) => adoption.server === server.name && !adoption.disabled)
    found.set(
      server.name,
      started
        ? await ports.listTools({
            name: server.name,
            config: server.config,
            secrets: secretsOf(plan, server),
          })
        : null,
    )
  }
  return found
}

const secretsOf = (plan: Plan, server: PlannedServer): readonly Named[] =>
  plan.secrets
    .filter((secret) => server.secrets.includes(secret.name))
    .map(({ name, value }) => ({ name, value }))

/**
 * All or nothing. Order: the broker can serve before any client is pointed at it; the manifest is durable before the
 * first file changes; each file is checked to be what was planned at the last moment; what was written is read again.
 */
export async function applyPlan(parts: {
  readonly plan: Plan
  readonly snapshots: ReadonlyMap<string, Snapshot>
  readonly home: string
  readonly key: KeyObject
  readonly ports: AdoptPorts
  readonly files: Files
  readonly now: number
}): Promise<Applied> {
  const back: { readonly what: string; run: () => Promise<void> }[] = []
  try {
    const files = rewrite(parts.plan)
    const kept = parts.plan.files.map(({ place, digest }, index) =>
      backedUp(parts, place.path, digest, files[index]?.after ?? '', index),
    )
    await register(parts.plan, parts.ports, back)
    const folder = await backupFolder(parts.home, parts.now)
    for (const { file, snapshot } of kept) await writeBackup(folder, file.backup, snapshot.bytes, parts.key)
    const manifest = manifestOf(
      parts,
      kept.map(({ file }) => file),
    )
    await writeManifest(folder, manifest)
    back.push({
      what: `the manifest in \`${folder}\``,
      run: () => writeManifest(folder, { ...manifest, state: 'undone' }),
    })
    for (const [index, { file, snapshot }] of kept.entries()) {
      await parts.files.replace(snapshot, Buffer.from(files[index]?.after ?? '', 'utf8'))
      back.push({
        what: `\`${file.path}\``,
        run: () => parts.files.replace({ ...snapshot, digest: file.after }, snapshot.bytes),
      })
    }
    await verify(
      parts,
      kept.map(({ file }) => file),
      files,
    )
    await writeManifest(folder, { ...manifest, state: 'done' })
    return { ok: true, folder, files }
  } catch (error) {
    const notPutBack: string[] = []
    for (const { what, run } of back.toReversed()) await run().catch(() => notPutBack.push(what))
    return { ok: false, detail: error instanceof Error ? error.message : 'something failed', notPutBack }
  }
}

type Parts = Parameters<typeof applyPlan>[0]

function backedUp(
  parts: Parts,
  path: string,
  digest: string,
  after: string,
  index: number,
): { readonly file: BackedUp; readonly snapshot: Snapshot } {
  const snapshot = parts.snapshots.get(path)
  if (snapshot === undefined || snapshot.digest !== digest) throw new Changed(path)
  const { target, mode, uid, gid } = snapshot
  const entries = parts.plan.adoptions
    .filter((adoption) => adoption.path === path)
    .map((adoption) => [...adoption.at])
  return {
    file: {
      path,
      target,
      mode,
      uid,
      gid,
      before: digest,
      after: digestOf(after),
      backup: `${index}.sealed`,
      entries,
    },
    snapshot,
  }
}

async function register(
  plan: Plan,
  ports: AdoptPorts,
  back: { what: string; run: () => Promise<void> }[],
): Promise<void> {
  const undone = (what: string, step: () => Promise<Step>): void => {
    const run = async (): Promise<void> => demand(await step(), what)
    back.push({ what, run })
  }
  for (const { name, value } of plan.secrets) {
    demand(await ports.setSecret(name, value), `the secret \`${name}\``)
    undone(`the secret \`${name}\``, () => ports.removeSecret(name))
  }
  for (const { name, config } of plan.servers.filter((server) => server.isNew)) {
    demand(await ports.addServer(name, config), `the server \`${name}\``)
    undone(`the server \`${name}\``, () => ports.removeServer(name))
  }
  for (const agent of plan.agents) demand(await ports.addAgent(agent), `the agent \`${agent}\``)
}

function demand(step: Step, what: string): void {
  if (!step.ok) throw new Error(`${what}: ${step.detail}`)
}

function manifestOf({ plan, now }: Parts, files: BackedUp[]): Manifest {
  const servers = plan.servers.filter((server) => server.isNew).map((server) => server.name)
  const secrets = plan.secrets.map((secret) => secret.name)
  return {
    v: 1,
    at: new Date(now).toISOString(),
    state: 'begun',
    files,
    servers,
    secrets,
    agents: [...plan.agents],
  }
}

/** Reads everything again: what was planned is there, and no moved value but those that were told. */
async function verify(parts: Parts, kept: readonly BackedUp[], files: readonly Rewritten[]): Promise<void> {
  const values = parts.plan.secrets.map((secret) => secret.value.reveal())
  for (const [index, { path, target, after }] of kept.entries()) {
    const read = await parts.files.read(target, null)
    if (read.kind !== 'file' || read.file.digest !== after) throw new Changed(path)
    const found = remaining(Buffer.from(read.file.bytes).toString('utf8'), values)
    const told = files[index]?.remains.reduce((sum, { count }) => sum + count, 0) ?? 0
    if (found.reduce((sum, count) => sum + count, 0) > told)
      throw new Error(`a token was left in \`${path}\``)
  }
}

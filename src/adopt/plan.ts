import { createHash } from 'node:crypto'
import type { ServerConfig } from '../config/schema.ts'
import { canonical } from '../lib/jcs.ts'
import type { JsonObject } from '../lib/json.ts'
import type { Secret } from '../credential/lease.ts'
import { secretOf } from '../credential/secret.ts'
import { draftOf, fingerprintOf, partsOf } from './draft.ts'
import type { Draft } from './draft.ts'
import { entriesIn } from './entry.ts'
import type { Entry } from './entry.ts'
import { brokerName, freeName, secretName } from './name.ts'
import type { Client, Place } from './place.ts'
import { configOf } from './render.ts'

export type PlanFile = { readonly place: Place; readonly text: string }

/** What is already registered. A name that stands for something else is never taken over. */
export type Existing = {
  readonly servers: { readonly [name: string]: JsonObject }
  readonly secrets: readonly string[]
}

export type PlanOptions = {
  readonly platform: NodeJS.Platform
  readonly home: string
  readonly variables: { readonly [name: string]: string | undefined }
  readonly environmentFile: (path: string) => string | null
  /** Variables that stdio servers are given besides their own, for example `HOME`. */
  readonly inherit: { readonly [name: string]: string }
  /** What starts `countersign`, before `connect`. */
  readonly connect: readonly [string, ...string[]]
  /** What starts `credential/launch.ts`, for programs that take a secret as an argument only. */
  readonly launcher: readonly [string, ...string[]]
  /** Whether the broker fills in secrets inside an HTTP server's address. */
  readonly addressSecrets: boolean
  readonly existing: Existing
}

/** One entry of a client, and what it becomes. */
export type Adoption = {
  readonly client: Client
  readonly path: string
  readonly at: readonly string[]
  readonly entry: string
  readonly server: string
  readonly command: string
  readonly args: readonly string[]
  /** Switched off in the client: its token moves too, and nothing starts it. */
  readonly disabled: boolean
  readonly notes: readonly string[]
}

export type PlannedServer = {
  readonly name: string
  readonly config: ServerConfig
  readonly isNew: boolean
  readonly secrets: readonly string[]
}
export type PlannedSecret = {
  readonly name: string
  readonly value: Secret
  readonly from: readonly { readonly path: string; readonly entry: string; readonly where: string }[]
}
export type Left = {
  readonly client: Client
  readonly path: string
  readonly entry: string | null
  readonly why: string
}

/** Safe to print: texts of files and values of secrets are hidden. */
export type Plan = {
  readonly files: readonly { readonly place: Place; readonly digest: string; readonly before: Secret }[]
  readonly adoptions: readonly Adoption[]
  readonly servers: readonly PlannedServer[]
  readonly secrets: readonly PlannedSecret[]
  readonly agents: readonly Client[]
  readonly left: readonly Left[]
  /** Entries that go through the broker already. */
  readonly done: readonly { readonly path: string; readonly entry: string }[]
}

export const digestOf = (bytes: Uint8Array | string): string =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`

/** Pure: the same files and options give the same plan. Starts nothing and writes nothing. */
export function plan(files: readonly PlanFile[], options: PlanOptions): Plan {
  const state = {
    servers: new Map<string, Group>(),
    left: [] as Left[],
    done: [] as { path: string; entry: string }[],
    taken: new Set(Object.keys(options.existing.servers)),
  }
  for (const { place, text } of files) {
    const found = entriesIn(place, text)
    for (const { entry, why } of found.problems)
      state.left.push({ client: place.client, path: place.path, entry, why })
    for (const entry of found.entries) sort(entry, options, state)
  }
  const secrets = new Map<string, { name: string; value: string; from: PlannedSecret['from'][number][] }>()
  const taken = new Set(options.existing.secrets)
  const servers = [...state.servers.values()].map((group) =>
    serverOf(group, options, { secrets, taken, names: state.taken }),
  )
  const adoptions = servers.flatMap(({ adoptions: all }) => all)
  const touched = new Set(adoptions.map((adoption) => adoption.path))
  return {
    files: files
      .filter(({ place }) => touched.has(place.path))
      .map(({ place, text }) => ({ place, digest: digestOf(text), before: secretOf(text) })),
    adoptions,
    servers: servers.map(({ server }) => server),
    secrets: [...secrets.values()].map(({ name, value, from }) => ({ name, value: secretOf(value), from })),
    agents: [...new Set(adoptions.map((adoption) => adoption.client))],
    left: state.left,
    done: state.done,
  }
}

type Group = {
  readonly draft: Draft
  readonly uses: { readonly entry: Entry; readonly disabled: boolean; readonly notes: readonly string[] }[]
}
type State = {
  readonly servers: Map<string, Group>
  readonly left: Left[]
  readonly done: { path: string; entry: string }[]
}

function sort(entry: Entry, options: PlanOptions, state: State): void {
  const { place, name } = entry
  if (throughBroker(entry)) return void state.done.push({ path: place.path, entry: name })
  const surroundings = {
    client: place.client,
    platform: options.platform,
    home: options.home,
    folder: entry.folder,
    variables: options.variables,
  }
  const drafted = draftOf(entry, {
    surroundings,
    inherit: options.inherit,
    environmentFile: options.environmentFile,
  })
  const why = drafted.ok ? addressProblem(drafted.draft, options) : drafted.why
  if (!drafted.ok || why !== null) {
    return void state.left.push({
      client: place.client,
      path: place.path,
      entry: name,
      why: why ?? 'it cannot be adopted',
    })
  }
  const key = fingerprintOf(drafted.draft)
  const group = state.servers.get(key) ?? { draft: drafted.draft, uses: [] }
  group.uses.push({ entry, disabled: drafted.disabled, notes: drafted.notes })
  state.servers.set(key, group)
}

/** Launched as adopt would write it, whatever starts `countersign`. */
function throughBroker({ value }: Entry): boolean {
  const args: readonly unknown[] = Array.isArray(value['args']) ? value['args'] : []
  const connect = args.indexOf('connect')
  const started = [value['command'], ...args.slice(0, Math.max(connect, 0))].map(String).join(' ')
  return connect !== -1 && /countersign|\bcli\b/.test(started) && args[connect + 1] === '--agent'
}

function addressProblem(draft: Draft, options: PlanOptions): string | null {
  if (draft.kind !== 'http' || options.addressSecrets) return null
  if (draft.url.pieces.every((piece) => typeof piece === 'string')) return null
  return 'its key is part of the address, where the broker cannot lend it; if the server takes the key as a header, write it so and run again'
}

type Names = {
  readonly secrets: Map<string, { name: string; value: string; from: PlannedSecret['from'][number][] }>
  readonly taken: Set<string>
  readonly names: Set<string>
}

function serverOf(
  group: Group,
  options: PlanOptions,
  { secrets, taken, names }: Names,
): { readonly server: PlannedServer; readonly adoptions: readonly Adoption[] } {
  const first = group.uses[0]?.entry
  const wanted = brokerName(first?.name ?? 'server')
  const nameOf =
    (server: string) =>
    (value: string, hint: string): string => {
      const known = secrets.get(value)
      if (known !== undefined) return known.name
      const name = freeName([secretName(server, hint)], taken)
      return name
    }
  const holdsSecrets = partsOf(group.draft).some((part) =>
    part.pieces.some((piece) => typeof piece !== 'string'),
  )
  const same = holdsSecrets ? undefined : sameServer(group.draft, wanted, options)
  const name = same ?? freeName([wanted, brokerName(`${wanted}-${first?.place.client ?? ''}`)], names)
  names.add(name)
  for (const part of partsOf(group.draft)) {
    for (const piece of part.pieces) {
      if (typeof piece === 'string') continue
      const known = secrets.get(piece.secret) ?? {
        name: nameOf(name)(piece.secret, part.hint),
        value: piece.secret,
        from: [],
      }
      taken.add(known.name)
      for (const { entry } of group.uses)
        known.from.push({ path: entry.place.path, entry: entry.name, where: part.where })
      secrets.set(piece.secret, known)
    }
  }
  const config = configOf(group.draft, (value) => secrets.get(value)?.name ?? '', options.launcher)
  const used = [
    ...new Set(
      partsOf(group.draft).flatMap((part) =>
        part.pieces.flatMap((piece) =>
          typeof piece === 'string' ? [] : [secrets.get(piece.secret)?.name ?? ''],
        ),
      ),
    ),
  ]
  const [command, ...before] = options.connect
  const adoptions = group.uses.map(({ entry, disabled, notes }) => ({
    client: entry.place.client, path: entry.place.path, at: entry.at, entry: entry.name, server: name, command,
    args: [...before, 'connect', '--agent', entry.place.client, '--server', name], disabled, notes,
  })) // prettier-ignore
  return { server: { name, config, isNew: same === undefined, secrets: used }, adoptions }
}

/** A registered server of this very configuration: used again instead of registered twice. */
function sameServer(draft: Draft, wanted: string, options: PlanOptions): string | undefined {
  const text = canonical(JSON.parse(JSON.stringify(configOf(draft, () => '', options.launcher))))
  const equal = Object.entries(options.existing.servers).filter(([, config]) => canonical(config) === text)
  return (equal.find(([name]) => name === wanted) ?? equal[0])?.[0]
}

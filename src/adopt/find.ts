import { readdirSync, readFileSync, statSync } from 'node:fs'
import { isAbsolute, join, resolve } from 'node:path'
import { entriesIn } from './entry.ts'
import type { Files, Snapshot } from './file.ts'
import { projectPlaces, userPlaces } from './place.ts'
import type { Machine, Place } from './place.ts'
import type { Left, PlanFile } from './plan.ts'

export type Gathered = {
  readonly files: readonly PlanFile[]
  readonly snapshots: ReadonlyMap<string, Snapshot>
  readonly left: readonly Left[]
  /** Files of projects that were not asked for: named, never read into the plan (incident 25). */
  readonly discovered: readonly {
    readonly path: string
    readonly project: string
    readonly entries: number
  }[]
}

/** Reads the configurations of the wanted clients, and of the named projects. Starts and changes nothing. */
export async function gather(parts: {
  readonly machine: Machine
  readonly clients: readonly string[]
  readonly projects: readonly string[]
  /** The folder where it runs: its own project is listed. */
  readonly folder: string
  readonly files: Files
}): Promise<Gathered> {
  const { machine, clients, files } = parts
  const found = { files: [] as PlanFile[], snapshots: new Map<string, Snapshot>(), left: [] as Left[] }
  const named = parts.projects.map((project) => resolve(parts.folder, project))
  const own = [...userPlaces(machine), ...profiles(machine)]
  const known = new Set([resolve(parts.folder)])
  for (const place of own) {
    const text = await take(place, clients.includes(place.client) ? found : null, files)
    if (text !== null)
      for (const project of entriesIn(place, text).projects) if (isAbsolute(project)) known.add(project)
  }
  for (const project of new Set(named)) {
    for (const place of projectPlaces(machine, project))
      if (clients.includes(place.client)) await take(place, found, files)
  }
  const discovered: Gathered['discovered'][number][] = []
  const read = new Set(found.snapshots.keys())
  for (const project of [...known]
    .filter((folder) => !named.includes(folder) && folder !== machine.home)
    .slice(0, 1000)) {
    for (const place of projectPlaces(machine, project)) {
      if (!clients.includes(place.client) || read.has(place.path)) continue
      const text = await take(place, null, files)
      const entries = text === null ? 0 : entriesIn(place, text).entries.length
      if (entries > 0) discovered.push({ path: place.path, project, entries })
    }
  }
  return { ...found, discovered }
}

type Found = { readonly files: PlanFile[]; readonly snapshots: Map<string, Snapshot>; readonly left: Left[] }

/** Text of the file, or null; into `found` when it is wanted. */
async function take(place: Place, found: Found | null, files: Files): Promise<string | null> {
  const read = await files.read(place.path, place.project)
  if (read.kind === 'none') return null
  const text = read.kind === 'file' ? textOf(read.file.bytes) : null
  const why = read.kind === 'unfit' ? read.why : text === null ? 'it is not UTF-8 text' : null
  if (why !== null) found?.left.push({ client: place.client, path: place.path, entry: null, why })
  if (text === null || read.kind !== 'file') return null
  // A settings file without servers is none of ours, not a file with a problem.
  const relevant = place.form !== 'settings' || /"mcp(?:\.servers)?"/.test(text)
  if (found !== null && relevant && !found.snapshots.has(place.path)) {
    found.snapshots.set(place.path, read.file)
    found.files.push({ place, text })
  }
  return text
}

function textOf(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return null
  }
}

/** VS Code keeps a configuration for each profile besides the default one. */
function profiles(machine: Machine): readonly Place[] {
  return userPlaces(machine)
    .filter((place) => place.form === 'servers')
    .flatMap((place) => {
      const folder = join(place.path, '..', 'profiles')
      return names(folder).map((name) => ({ ...place, path: join(folder, name, 'mcp.json') }))
    })
}

function names(folder: string): readonly string[] {
  try {
    return readdirSync(folder).slice(0, 100)
  } catch {
    return []
  }
}

/** For the planner: an environment file's text, or null. At most 1 MiB. */
export function readEnvironmentFile(path: string): string | null {
  try {
    const status = statSync(path)
    return status.isFile() && status.size <= 1024 * 1024 ? readFileSync(path, 'utf8') : null
  } catch {
    return null
  }
}

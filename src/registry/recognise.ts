import { known, type Profile } from './profile.ts'
import type { Definition } from './tool.ts'
import type { JsonObject } from '../lib/json.ts'

/** By what a server was recognised. `name` is what it calls itself. */
export type RecognisedBy = 'package' | 'host' | 'name'

export type Recognised = {
  readonly profile: Profile
  readonly by: RecognisedBy
  /** Its tools that the profile knows, and all of them. */
  readonly known: number
  readonly of: number
}

/** A server as it is configured, and what it says and offers. */
export type Seen = {
  /** `command` and `args`, or `url`, as in the configuration. */
  readonly config: JsonObject
  /** `serverInfo.name`, or null when it was never reached. */
  readonly calls: string | null
  readonly definitions: readonly Definition[]
}

/**
 * The profile that fits best, or null. Only ever a suggestion: any program can carry a known name. The most tools
 * known wins, then how it was recognised. Pure.
 */
export function matchProfile(profiles: readonly Profile[], seen: Seen): Recognised | null {
  const tools = seen.definitions.filter(({ kind }) => kind === 'tool')
  const found = profiles.flatMap((profile): Recognised[] => {
    const by = recognisedBy(profile, seen)
    const count = tools.filter(({ name }) => known(profile, name) !== null).length
    return by === null || (count === 0 && tools.length > 0)
      ? []
      : [{ profile, by, known: count, of: tools.length }]
  })
  return found.toSorted((a, b) => b.known - a.known || order.indexOf(a.by) - order.indexOf(b.by))[0] ?? null
}

const order: readonly RecognisedBy[] = ['package', 'host', 'name']

function recognisedBy({ match }: Profile, { config, calls }: Seen): RecognisedBy | null {
  const packages = packagesIn(config)
  if (match.packages.some((name) => packages.has(name.toLowerCase()))) return 'package'
  const host = typeof config.url === 'string' ? (URL.parse(config.url)?.hostname ?? null) : null
  if (host !== null && match.hosts.some((name) => name.toLowerCase() === host)) return 'host'
  return calls !== null && match.names.includes(calls) ? 'name' : null
}

/**
 * What a command line may start, by the names that packages and images have: `npx -y @scope/name@1.2`,
 * `uvx name==1.0`, `docker run … ghcr.io/owner/image:tag`, `node …/node_modules/@scope/name/dist/index.js`.
 */
function packagesIn({ command, args }: JsonObject): ReadonlySet<string> {
  const line = [command, ...(Array.isArray(args) ? args : [])]
  const found = new Set<string>()
  for (const [index, word] of line.entries()) {
    if (typeof word !== 'string' || word.length > 4096 || (index > 0 && word.startsWith('-'))) continue
    const plain = word.replaceAll('\\', '/')
    found.add(bare(plain).toLowerCase())
    if (index === 0) found.add(bare(plain.split('/').at(-1) ?? '').toLowerCase())
    const installed = /\/node_modules\/((?:@[^/]+\/)?[^/]+)/g
    for (const [, name = ''] of plain.matchAll(installed)) found.add(name.toLowerCase())
  }
  return found
}

/** Without version, extras, tag and digest. */
const bare = (word: string): string =>
  word
    .replace(/@sha256:[0-9a-f]+$/, '')
    .replace(/(?!^)@[^/]*$/, '')
    .replace(/[=<>~!]=.*$/, '')
    .replace(/\[[^\]]*\]$/, '')
    .replace(/:[^/:]*$/, '')

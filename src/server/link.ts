import { createHash } from 'node:crypto'
import type { Definition } from '../registry/tool.ts'
import { families, listFamily, type FamilyListing, type RawCatalogue } from './catalogue.ts'
import { notSent, type Channel, type Family, type Headers, type NotSent } from './channel.ts'
import type { Session } from './era.ts'

/** How definitions are made and compared; both are the registry's. */
export type Pinning = {
  define(raw: RawCatalogue): readonly Definition[]
  /** `sha256:` + 64 hex over the canonical form. */
  digest(definition: Definition): string
}

export type LinkOptions = {
  readonly server: string
  readonly channel: Channel
  readonly session: Session
  readonly pinning: Pinning
  /** Modern HTTP: tools whose mirrored headers are invalid are left out. */
  readonly mirrored: boolean
  readonly connectMs: number
  readonly freshness: Freshness
  /** A clock that never jumps, in milliseconds. */
  readonly elapsed: () => number
  /** Told each time this connection lists something else than before. MUST be done before the call that noticed goes on. */
  readonly onCatalogue: (raw: RawCatalogue) => Promise<void>
}

/** How long a list is believed, in milliseconds: what the server says, within these bounds. */
export type Freshness = { readonly leastMs: number; readonly unsaidMs: number; readonly mostMs: number }

/** One connection to a server, and what this very connection lists. */
export type Link = {
  readonly session: Session
  readonly channel: Channel
  /** `null`: it lists the definition under that digest, as of now. */
  compare(definition: Definition, digest: string, family: Family, headers: Headers): Promise<NotSent | null>
  /** Everything it offers, listed anew. */
  catalogue(headers: Headers): Promise<RawCatalogue | NotSent>
  /** The server says that a list has changed: it is listed anew before the next call. */
  stale(family: Family): void
}

export function createLink(options: LinkOptions): Link {
  const { channel, session, pinning, elapsed } = options
  const listed = new Map<Family, { readonly listing: FamilyListing; readonly until: number }>()
  const listing = new Map<Family, Promise<NotSent | null>>()
  const changes = new Map<Family, number>()
  let lastPrint = ''
  let digests: ReadonlyMap<string, string> = new Map()

  const list = async (family: Family, headers: Headers): Promise<NotSent | null> => {
    const change = changes.get(family)
    const found = await listFamily(family, { ...options, headers, ms: options.connectMs })
    if ('kind' in found) return found
    // A change that was announced while the pages came in may lie on a page that was read before it.
    const until = changes.get(family) === change ? elapsed() + lifetime(found.ttlMs, options.freshness) : 0
    listed.set(family, { listing: found, until })
    return null
  }
  const listOnce = (family: Family, headers: Headers): Promise<NotSent | null> => {
    const running = listing.get(family)
    if (running !== undefined) return running
    const started = list(family, headers).finally(() => listing.delete(family))
    listing.set(family, started)
    return started
  }
  const put = (): RawCatalogue => ({
    server: options.server,
    tools: listed.get('tools')?.listing.entries.tools ?? [],
    prompts: listed.get('prompts')?.listing.entries.prompts ?? [],
    resources: listed.get('resources')?.listing.entries.resources ?? [],
    templates: listed.get('resources')?.listing.entries.templates ?? [],
    instructions: session.instructions,
    capabilities: session.capabilities,
    serverInfo: session.serverInfo,
    era: session.era,
    protocolVersion: session.protocolVersion,
  })
  const refresh = async (wanted: readonly Family[], headers: Headers): Promise<NotSent | null> => {
    const problems = await Promise.all(wanted.map((family) => listOnce(family, headers)))
    const problem = problems.find((each) => each !== null) ?? null
    if (problem !== null) return problem
    const raw = put()
    const print = createHash('sha256').update(JSON.stringify(raw)).digest('base64')
    if (print === lastPrint) return null
    const defined = digestsOf(raw, pinning)
    if (defined === null) return notSent('unreachable', 'the definitions of the server cannot be read')
    digests = defined
    await options.onCatalogue(raw)
    lastPrint = print
    return null
  }

  return {
    session,
    channel,
    async compare(definition, digest, family, headers) {
      // The first look is at everything: half a catalogue would tell the registry that the other half is gone.
      const missing = families.filter((each) => !listed.has(each))
      const old = (listed.get(family)?.until ?? 0) <= elapsed()
      const wanted = missing.length > 0 ? missing : old ? [family] : []
      const problem = wanted.length === 0 ? null : await refresh(wanted, headers)
      if (problem !== null) return problem
      const offered = digests.get(keyOf(definition))
      if (offered === digest) return null
      return notSent(
        'definition-changed',
        offered === undefined ? 'the server no longer offers it' : 'the server now defines it otherwise',
      )
    },
    async catalogue(headers) {
      return (await refresh(families, headers)) ?? put()
    },
    stale(family) {
      changes.set(family, (changes.get(family) ?? 0) + 1)
      const known = listed.get(family)
      if (known !== undefined) listed.set(family, { ...known, until: 0 })
    },
  }
}

/** Definitions are a server's own words: whatever they contain must not bring down more than this call. */
function digestsOf(raw: RawCatalogue, { define, digest }: Pinning): ReadonlyMap<string, string> | null {
  try {
    return new Map(define(raw).map((definition) => [keyOf(definition), digest(definition)]))
  } catch {
    return null
  }
}

/** Templates and roots are known by what they match, all else by name. */
const keyOf = ({ kind, name, uri, uriTemplate }: Definition): string =>
  `${kind}\n${(kind === 'template' ? uriTemplate : kind === 'resource' ? uri : undefined) ?? name}`

const lifetime = (ttlMs: number | null, { leastMs, unsaidMs, mostMs }: Freshness): number =>
  Math.min(mostMs, Math.max(leastMs, ttlMs ?? unsaidMs))

import { createHash } from 'node:crypto'
import { inSlices, type Sliced } from '../lib/slices.ts'
import type { Definition } from '../registry/tool.ts'
import { families, listFamily, type FamilyListing, type RawCatalogue } from './catalogue.ts'
import { notSent, type Channel, type Family, type Headers, type NotSent } from './channel.ts'
import type { LogLevel } from './answer.ts'
import type { Session } from './era.ts'
import { isAtLeast } from './log.ts'

/** How definitions are made and compared; both are the registry's. */
export type Pinning = {
  /** A long list MAY take its time, a stretch at once. */
  readonly define: (raw: RawCatalogue) => readonly Definition[] | Promise<readonly Definition[]>
  /** `sha256:` + 64 hex over the canonical form. */
  readonly digest: (definition: Definition) => string
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
  /** Whether that is known without asking anyone, as it is for most calls: what it listed is whole and still believed. */
  lists(definition: Definition, digest: string, family: Family): boolean
  /** Everything it offers, listed anew. */
  catalogue(headers: Headers): Promise<RawCatalogue | NotSent>
  /** The server says that a list has changed: it is listed anew before the next call. */
  stale(family: Family): void
  /** How long its lists are left alone once they were listed: as long as they cost. Milliseconds. */
  restMs(): number
  /** Whether lines of this level were not asked for yet; from now on they were. */
  wantsMore(level: LogLevel): boolean
  /** A legacy server says that a resource has changed. */
  updated(uri: string): void
  onUpdated(told: (uri: string) => void): () => void
}

/** `at`: when it was listed. `until`: how long it is believed; 0 once a change was announced. */
type Listed = { readonly listing: FamilyListing; readonly at: number; readonly until: number }

/** Entries; shorter lists cost nothing that anybody notices. Beyond, each entry rests this long once it was listed. */
export const shortList = 500
export const restMsEach = 1

export const createLink = (options: LinkOptions): Link => new Connected(options)

class Connected implements Link {
  readonly session: Session
  readonly channel: Channel
  readonly #options: LinkOptions
  readonly #listed = new Map<Family, Listed>()
  readonly #running = new Map<Family, Promise<NotSent | null>>()
  #digesting: Promise<NotSent | null> | null = null
  /** Moves with every listing: what was computed from an older one is not what is offered. */
  #listings = 0
  #failed: { readonly problem: NotSent; readonly listings: number; readonly until: number } | null = null
  readonly #changes = new Map<Family, number>()
  /** Of what is listed; recomputed before the next comparison once anything has been listed anew. */
  #digests: ReadonlyMap<string, string> = new Map()
  #outdated = true
  #lastPrint = ''
  #logLevel: LogLevel | null = null
  readonly #watchers = new Set<(uri: string) => void>()

  constructor(options: LinkOptions) {
    this.#options = options
    this.session = options.session
    this.channel = options.channel
  }

  async compare(
    definition: Definition,
    digest: string,
    family: Family,
    headers: Headers,
  ): Promise<NotSent | null> {
    // The first look is at everything: half a catalogue would tell the registry that the other half is gone.
    const missing = families.filter((each) => !this.#listed.has(each))
    const known = this.#listed.get(family)
    const old = (known?.until ?? 0) <= this.#options.elapsed()
    // It announces changes faster than a list of this length can be read: nobody knows what it offers now.
    if (known?.until === 0 && this.#options.elapsed() < known.at + this.restMs())
      return notSent('busy', 'the server changes what it offers too often; try again later')
    const wanted = missing.length > 0 ? missing : old ? [family] : []
    const problem = (await this.#list(wanted, headers)) ?? (await this.#upToDate())
    if (problem !== null) return problem
    const offered = this.#digests.get(keyOf(definition))
    if (offered === digest) return null
    const how =
      offered === undefined ? 'the server no longer offers it' : 'the server now defines it otherwise'
    return notSent('definition-changed', how)
  }

  lists(definition: Definition, digest: string, family: Family): boolean {
    return (
      !this.#outdated &&
      families.every((each) => this.#listed.has(each)) &&
      (this.#listed.get(family)?.until ?? 0) > this.#options.elapsed() &&
      this.#digests.get(keyOf(definition)) === digest
    )
  }

  async catalogue(headers: Headers): Promise<RawCatalogue | NotSent> {
    const problem = (await this.#list(families, headers)) ?? (await this.#upToDate())
    return problem ?? this.#put()
  }

  stale(family: Family): void {
    this.#changes.set(family, (this.#changes.get(family) ?? 0) + 1)
    const known = this.#listed.get(family)
    if (known !== undefined) this.#listed.set(family, { ...known, until: 0 })
  }

  restMs(): number {
    const entries = [...this.#listed.values()].map(({ listing }) =>
      Object.values(listing.entries).reduce((sum, list) => sum + list.length, 0),
    )
    const all = entries.reduce((sum, one) => sum + one, 0)
    return all > shortList ? all * restMsEach : 0
  }

  wantsMore(level: LogLevel): boolean {
    if (this.#logLevel !== null && isAtLeast(level, this.#logLevel)) return false
    this.#logLevel = level
    return true
  }

  updated(uri: string): void {
    for (const told of this.#watchers) told(uri)
  }

  onUpdated(told: (uri: string) => void): () => void {
    this.#watchers.add(told)
    return () => void this.#watchers.delete(told)
  }

  async #list(wanted: readonly Family[], headers: Headers): Promise<NotSent | null> {
    const problems = await Promise.all(wanted.map((family) => this.#listOnce(family, headers)))
    return problems.find((each) => each !== null) ?? null
  }

  #listOnce(family: Family, headers: Headers): Promise<NotSent | null> {
    const running = this.#running.get(family)
    if (running !== undefined) return running
    const started = this.#listFamily(family, headers).finally(() => this.#running.delete(family))
    this.#running.set(family, started)
    return started
  }

  async #listFamily(family: Family, headers: Headers): Promise<NotSent | null> {
    const { elapsed, freshness, connectMs } = this.#options
    const change = this.#changes.get(family)
    const found = await listFamily(family, { ...this.#options, headers, ms: connectMs })
    if ('kind' in found) return found
    // A change that was announced while the pages came in may lie on a page that was read before it.
    const now = elapsed()
    const until = this.#changes.get(family) === change ? now + lifetime(found.ttlMs, freshness) : 0
    this.#listed.set(family, { listing: found, at: now, until })
    if (until > 0)
      this.#listed.set(family, { listing: found, at: now, until: Math.max(until, now + this.restMs()) })
    this.#listings += 1
    this.#outdated = true
    return null
  }

  /** Whoever comes while definitions are being read waits for that, and for what was listed since. */
  async #upToDate(): Promise<NotSent | null> {
    while (this.#outdated) {
      this.#digesting ??= this.#digest().finally(() => (this.#digesting = null))
      const problem = await this.#digesting
      if (problem !== null) return problem
    }
    return null
  }

  async #digest(): Promise<NotSent | null> {
    const { elapsed } = this.#options
    const listings = this.#listings
    if (this.#failed?.listings === listings && elapsed() < this.#failed.until) return this.#failed.problem
    const raw = this.#put()
    const print = createHash('sha256').update(JSON.stringify(raw)).digest('base64')
    const problem = print === this.#lastPrint ? null : await this.#take(raw)
    if (problem !== null) {
      this.#failed = { problem, listings, until: elapsed() + this.restMs() }
      return problem
    }
    this.#lastPrint = print
    this.#outdated = listings !== this.#listings
    return null
  }

  async #take(raw: RawCatalogue): Promise<NotSent | null> {
    const digests = await digestsOf(raw, this.#options.pinning)
    if (digests === null) return notSent('unreachable', 'the definitions of the server cannot be read')
    try {
      await this.#options.onCatalogue(raw)
    } catch {
      // What cannot be recorded is not acted upon; the next call tries again.
      return notSent(
        'unreachable',
        'what the server offers now could not be recorded, or says a secret that it is lent',
      )
    }
    this.#digests = digests
    return null
  }

  #put(): RawCatalogue {
    const { instructions, capabilities, serverInfo, era, protocolVersion } = this.session
    const of = (family: Family) => this.#listed.get(family)?.listing.entries ?? {}
    const entries = { ...none, ...of('tools'), ...of('prompts'), ...of('resources') }
    return {
      server: this.#options.server,
      ...entries,
      instructions,
      capabilities,
      serverInfo,
      era,
      protocolVersion,
    }
  }
}

const none: Pick<RawCatalogue, 'tools' | 'prompts' | 'resources' | 'templates'> = {
  tools: [],
  prompts: [],
  resources: [],
  templates: [],
}

/** Definitions are a server's own words: whatever they contain must not bring down more than this call. */
async function digestsOf(
  raw: RawCatalogue,
  { define, digest }: Pinning,
): Promise<ReadonlyMap<string, string> | null> {
  try {
    return await inSlices(digesting(await define(raw), digest))
  } catch {
    return null
  }
}

function* digesting(
  definitions: readonly Definition[],
  digest: Pinning['digest'],
): Sliced<ReadonlyMap<string, string>> {
  const digests = new Map<string, string>()
  for (const definition of definitions) {
    yield
    digests.set(keyOf(definition), digest(definition))
  }
  return digests
}

/** Templates and roots are known by what they match, all else by name. */
const keyOf = ({ kind, name, uri, uriTemplate }: Definition): string =>
  `${kind}\n${(kind === 'template' ? uriTemplate : kind === 'resource' ? uri : undefined) ?? name}`

const lifetime = (ttlMs: number | null, { leastMs, unsaidMs, mostMs }: Freshness): number =>
  Math.min(mostMs, Math.max(leastMs, ttlMs ?? unsaidMs))

import { createHash } from 'node:crypto'
import type { Definition } from '../registry/tool.ts'
import { families, listFamily, type FamilyListing, type RawCatalogue } from './catalogue.ts'
import { notSent, type Channel, type Family, type Headers, type NotSent } from './channel.ts'
import type { Session } from './era.ts'

/** How definitions are made and compared; both are the registry's. */
export type Pinning = {
  readonly define: (raw: RawCatalogue) => readonly Definition[]
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
  /** Everything it offers, listed anew. */
  catalogue(headers: Headers): Promise<RawCatalogue | NotSent>
  /** The server says that a list has changed: it is listed anew before the next call. */
  stale(family: Family): void
}

export const createLink = (options: LinkOptions): Link => new Connected(options)

class Connected implements Link {
  readonly session: Session
  readonly channel: Channel
  readonly #options: LinkOptions
  readonly #listed = new Map<Family, { readonly listing: FamilyListing; readonly until: number }>()
  readonly #running = new Map<Family, Promise<NotSent | null>>()
  readonly #changes = new Map<Family, number>()
  /** Of what is listed; recomputed before the next comparison once anything has been listed anew. */
  #digests: ReadonlyMap<string, string> = new Map()
  #outdated = true
  #lastPrint = ''

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
    const old = (this.#listed.get(family)?.until ?? 0) <= this.#options.elapsed()
    const wanted = missing.length > 0 ? missing : old ? [family] : []
    const problem = (await this.#list(wanted, headers)) ?? (this.#outdated ? await this.#digest() : null)
    if (problem !== null) return problem
    const offered = this.#digests.get(keyOf(definition))
    if (offered === digest) return null
    const how =
      offered === undefined ? 'the server no longer offers it' : 'the server now defines it otherwise'
    return notSent('definition-changed', how)
  }

  async catalogue(headers: Headers): Promise<RawCatalogue | NotSent> {
    const problem = (await this.#list(families, headers)) ?? (await this.#digest())
    return problem ?? this.#put()
  }

  stale(family: Family): void {
    this.#changes.set(family, (this.#changes.get(family) ?? 0) + 1)
    const known = this.#listed.get(family)
    if (known !== undefined) this.#listed.set(family, { ...known, until: 0 })
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
    const until = this.#changes.get(family) === change ? elapsed() + lifetime(found.ttlMs, freshness) : 0
    this.#listed.set(family, { listing: found, until })
    this.#outdated = true
    return null
  }

  async #digest(): Promise<NotSent | null> {
    const raw = this.#put()
    const print = createHash('sha256').update(JSON.stringify(raw)).digest('base64')
    this.#outdated = false
    if (print === this.#lastPrint) return null
    const digests = digestsOf(raw, this.#options.pinning)
    if (digests === null) {
      this.#outdated = true
      return notSent('unreachable', 'the definitions of the server cannot be read')
    }
    this.#digests = digests
    try {
      await this.#options.onCatalogue(raw)
    } catch {
      // What cannot be recorded is not acted upon; the next call tries again.
      this.#outdated = true
      return notSent(
        'unreachable',
        'what the server offers now could not be recorded, or says a secret that it is lent',
      )
    }
    this.#lastPrint = print
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

import { openCheckpoint, signCheckpoint } from './checkpoint.ts'
import { createFolder } from './folder.ts'
import { describeGrowthProblem, Growth } from './growth.ts'
import { createSigner, parseVkey } from './note.ts'
import { tileWidth } from './tiles.ts'
import type { Checkpoint } from './checkpoint.ts'
import type { Clock } from '../lib/clock.ts'
import type { Folder } from './folder.ts'
import type { GrowthProblem } from './growth.ts'
import type { KeyObject } from 'node:crypto'
import type { LogStore } from '../store/ports.ts'
import type { NoteKey, NoteSigner } from './note.ts'

export type PublishedLog = Pick<LogStore, 'size' | 'read' | 'checkpoint' | 'putCheckpoint'>

/** `refused`: nothing was signed and nothing will be until an operator has looked; `detail` says at what. */
export type Published =
  | { readonly kind: 'published'; readonly size: number; readonly text: string }
  | { readonly kind: 'empty' }
  /** Another node has signed a longer log meanwhile. The next tick goes on from there. */
  | { readonly kind: 'overtaken' }
  | { readonly kind: 'refused'; readonly problem: PublishProblem; readonly detail: string }

export type PublishProblem = 'shortened' | 'not-consistent' | 'foreign-checkpoint' | 'gap' | 'leaf-differs'

export type Publisher = {
  /** What verifiers need; to be kept somewhere else than beside the log. */
  readonly vkey: string
  /** Publishes what was durable when it was called. Rejects when the store or the folder fails; the next one starts over. */
  readonly tick: () => Promise<Published>
  readonly start: () => void
  /** Publishes a last time and ends. */
  readonly stop: () => Promise<void>
  readonly status: () => {
    readonly last: Published | null
    readonly at: number | null
    readonly failing: boolean
  }
}

export type PublisherSettings = {
  readonly log: PublishedLog
  readonly directory: string
  /** Private Ed25519 key. */
  readonly key: KeyObject
  /** The log's name: a schema-less URL without spaces, such as `broker.example/log`. */
  readonly origin: string
  readonly everyMs: number
  readonly clock: Clock
  /** Hears of what `tick` refused or rejected while started. */
  readonly onProblem?: (problem: string) => void
}

type Anchor = Checkpoint & { readonly text: string }

/**
 * Signs the log's head and publishes it with its tiles (C2SP tlog-tiles v0.1.0). The rule that everything else serves:
 * never sign a head that does not continue every head signed before. Two such heads would let the broker show two
 * histories. So the tree is made anew from the store's bytes at each start, and must pass through the root of the
 * newest checkpoint in the store and of the one in the folder, which may know more than a store from a backup.
 */
export function createPublisher(settings: PublisherSettings): Publisher {
  const signer = createSigner(settings.origin, settings.key)
  const run = new Run({ ...settings, signer, folder: createFolder(settings.directory) })
  const queue = latest(() => run.tick())
  let timer: NodeJS.Timeout | null = null
  let state: { last: Published | null; at: number | null; failing: boolean } = {
    last: null,
    at: null,
    failing: false,
  }
  const tick = async (): Promise<Published> => {
    try {
      const last = await queue()
      state = { last, at: settings.clock.now(), failing: last.kind === 'refused' }
      return last
    } catch (error) {
      state = { ...state, failing: true }
      throw error
    }
  }
  const watched = async (): Promise<void> => {
    try {
      const done = await tick()
      if (done.kind === 'refused') settings.onProblem?.(done.detail)
    } catch (error) {
      settings.onProblem?.(error instanceof Error ? error.message : 'the log could not be published')
    }
  }
  const again = (afterMs: number): void => {
    timer = setTimeout(() => void turn(), afterMs)
    timer.unref()
  }
  const turn = async (): Promise<void> => {
    await watched()
    if (timer !== null) again(settings.everyMs)
  }
  return {
    vkey: signer.vkey,
    tick,
    start: () => {
      if (timer === null) again(0)
    },
    stop: async () => {
      if (timer !== null) clearTimeout(timer)
      timer = null
      await watched()
    },
    status: () => state,
  }
}

type RunSettings = { readonly log: PublishedLog; readonly folder: Folder; readonly signer: NoteSigner }

class Run {
  readonly #log: PublishedLog
  readonly #folder: Folder
  readonly #signer: NoteSigner
  readonly #key: NoteKey
  #growth: Growth | null = null
  #shown: string | null = null
  #refused: Published | null = null

  constructor({ log, folder, signer }: RunSettings) {
    const key = parseVkey(signer.vkey)
    if (key === null) throw new TypeError('expected a signer whose verifier key can be read')
    this.#log = log
    this.#folder = folder
    this.#signer = signer
    this.#key = key
  }

  async tick(): Promise<Published> {
    // A refusal stays: to hash a long log again every second would not make it honest.
    if (this.#refused !== null) return this.#refused
    const growth = this.#growth
    // Whatever fails from here on, the next tick begins with recovery.
    this.#growth = null
    const done = await this.#publish(growth)
    if (done.kind === 'refused') this.#refused = done
    return done
  }

  async #publish(known: Growth | null): Promise<Published> {
    const anchors = await this.#anchors(known === null)
    if (!Array.isArray(anchors)) return anchors
    const size = await this.#log.size()
    const newest = anchors.at(-1) ?? null
    if (newest !== null && newest.size > size)
      return refuse('shortened', `${newest.size} entries were signed, ${size} are there`)
    if (size === 0) return { kind: 'empty' }
    const stale = known === null || anchors.some((a) => a.size < known.size && a.text !== this.#shown)
    const growth = stale ? await this.#recover(anchors) : known
    if (!(growth instanceof Growth)) return growth
    const problem =
      (await growth.pass(this.#log, anchors, this.#folder)) ??
      (await growth.grow(this.#log, size, this.#folder))
    return problem === null ? this.#finish(growth, newest) : broken(problem)
  }

  async #finish(growth: Growth, newest: Anchor | null): Promise<Published> {
    const { size } = growth
    const signed = newest?.size === size ? newest.text : signCheckpoint(this.#head(growth), this.#signer)
    if (signed !== this.#shown) {
      await growth.flush(this.#folder)
      // The commit point: from here on this head counts as signed. If the process dies before the file below is
      // written, the next start finds it in the store and publishes it.
      if (!(await this.#log.putCheckpoint({ size, text: signed })).ok) {
        this.#growth = growth
        return { kind: 'overtaken' }
      }
      await this.#folder.put('checkpoint', Buffer.from(signed))
      await growth.tidy(this.#folder)
    }
    this.#shown = signed
    this.#growth = growth
    return { kind: 'published', size, text: signed }
  }

  #head(growth: Growth): Checkpoint {
    return { origin: this.#signer.name, size: growth.size, root: growth.root() }
  }

  /** Heads that were signed before, shortest first; a refusal when one is not this log's. */
  async #anchors(all: boolean): Promise<Anchor[] | Published> {
    const stored = await this.#log.checkpoint()
    const shown = all ? await this.#folder.read('checkpoint') : null
    const texts = [stored?.text, shown === null ? undefined : Buffer.from(shown).toString()]
    const anchors: Anchor[] = []
    for (const text of texts) {
      if (text === undefined) continue
      const opened = openCheckpoint(text, this.#key)
      if (!opened.ok)
        return refuse('foreign-checkpoint', `a checkpoint of another log or key is there (${opened.problem})`)
      anchors.push({ ...opened.checkpoint, text })
    }
    return anchors.sort((a, b) => a.size - b.size)
  }

  /** Hashes the store through every anchor, writing nothing; then goes back to the last full tile that was published. */
  async #recover(anchors: readonly Anchor[]): Promise<Growth | Published> {
    const shown = await this.#folder.read('checkpoint')
    const opened = shown === null ? null : openCheckpoint(Buffer.from(shown).toString(), this.#key)
    const there = opened?.ok === true ? opened.checkpoint.size : 0
    const boundary = there - (there % tileWidth)
    const growth = new Growth()
    const before = anchors.filter(({ size }) => size <= boundary)
    const early =
      (await growth.pass(this.#log, before, null)) ?? (await growth.grow(this.#log, boundary, null))
    const mark = growth.copy()
    const problem = early ?? (await growth.pass(this.#log, anchors, null))
    this.#shown = null
    return problem === null ? mark : broken(problem)
  }
}

const refuse = (problem: PublishProblem, detail: string): Published => ({ kind: 'refused', problem, detail })

const broken = (found: GrowthProblem): Published => refuse(found.problem, describeGrowthProblem(found))

/** One run at a time; callers that come during one share the next, which sees all that was durable when they called. */
function latest<T>(run: () => Promise<T>): () => Promise<T> {
  let running: Promise<unknown> = Promise.resolve()
  let next: Promise<T> | null = null
  return () => {
    next ??= running.then(() => {
      const now = run()
      next = null
      running = now.catch(() => undefined)
      return now
    })
    return next
  }
}

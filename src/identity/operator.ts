import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { join } from 'node:path'
import { createTries } from './tries.ts'
import { passphraseProblem, scryptPassphrases, type Passphrases } from './passphrase.ts'
import { keepPrivate, PrivateFileError, readPrivate } from './private.ts'
import { newId } from '../lib/id.ts'
import { isJsonObject, type JsonObject } from '../lib/json.ts'
import type { Actor, Acts } from './actor.ts'
import type { ProofClass } from '../approval/ask.ts'
import type { SettingStore } from '../store/ports.ts'

/**
 * How surely a person is there. `present`: holds the operator key, which any program of the same user can read, a
 * coding agent included; good for reading and for taking authority away. `proved`: gave a passphrase. `terminal`: sits
 * at the terminal that runs the broker.
 */
export type Level = 'present' | 'proved' | 'terminal'

export type Presence = {
  readonly name: string
  readonly level: Level
  readonly actor: Actor
  /** Null when the presence is no proof that a person answered. */
  readonly proof: ProofClass | null
  /** Names this request to the verifier while it runs, and no longer. */
  readonly sessionId: string
}

export type Entrance = {
  readonly key: string | null
  /** Who it is, when there are several operators; the configured one when left out. */
  readonly name: string | null
  readonly passphrase: string | null
}

export type EntryProblem =
  'no-key' | 'wrong-key' | 'unknown-operator' | 'no-passphrase-set' | 'wrong-passphrase' | 'slow-down'
export type Entered =
  | { readonly ok: true; readonly presence: Presence }
  | { readonly ok: false; readonly problem: EntryProblem; readonly waitMs: number }
export type PassphraseSet =
  | { readonly ok: true }
  | { readonly ok: false; readonly problem: 'unfit' | 'needs-proof'; readonly detail: string }

export type Gate = {
  /** Over the network: the key always, the passphrase when more than reading is meant. */
  enter(entrance: Entrance): Promise<Entered>
  /** In process, for the terminal that runs the broker; never reachable from a request. */
  atTerminal(name?: string): Presence
  leave(presence: Presence): void
  /** For the verifier: whether this operator is inside now. */
  holds(sessionId: string, name: string): boolean
  /** The first passphrase needs the key or the terminal; after that only someone proven sets one. */
  setPassphrase(passphrase: string, whose: string, presence: Presence): Promise<PassphraseSet>
  hasPassphrase(): Promise<boolean>
  /** The configured operator, and everyone who has a passphrase. Their names are not free for agents. */
  isOperator(name: string): Promise<boolean>
}

const setting = 'operators'
const keyFile = (folder: string): string => join(folder, 'operator.token')

/** Makes `operator.token` (256 random bits, 0600) in the folder at the first start and gives it. */
export async function operatorKey(folder: string): Promise<string> {
  return demandKey(folder, await keepPrivate(keyFile(folder), () => randomBytes(32).toString('base64url')))
}

/** For commands: reads the key from the home folder, or from where `keys` are configured. Throws `PrivateFileError` with a hint. */
export async function readOperatorKey(folder: string): Promise<string> {
  return demandKey(folder, await readPrivate(keyFile(folder)))
}

function demandKey(folder: string, text: string): string {
  const key = text.trim()
  if (/^[A-Za-z0-9_-]{43}$/.test(key)) return key
  throw new PrivateFileError(
    `\`${keyFile(folder)}\` holds no operator key`,
    'remove it and start the broker again',
  )
}

/** Decides who is inside, and how surely. */
export function createGate(parts: {
  readonly key: string
  readonly operator: string
  readonly settings: Pick<SettingStore, 'get' | 'put'>
  readonly acts: Acts
  readonly passphrases?: Passphrases
  readonly monotonic?: () => number
}): Gate {
  const passphrases = parts.passphrases ?? scryptPassphrases
  const inside = new Map<string, string>()
  const tries = createTries(parts.monotonic ?? (() => performance.now()))

  const admit = (name: string, level: Level): Presence => {
    const sessionId = newId('o')
    inside.set(sessionId, name)
    return {
      name,
      level,
      actor: { name, proof: proofs[level].actor },
      proof: proofs[level].approval,
      sessionId,
    }
  }
  const verifiers = async (): Promise<JsonObject> => {
    const kept = (await parts.settings.get(setting))?.['verifiers']
    return isJsonObject(kept) ? kept : {}
  }

  return {
    async enter({ key, name, passphrase }) {
      if (key === null) return refused('no-key')
      if (!sameKey(key, parts.key)) return refused('wrong-key')
      const who = name ?? parts.operator
      const verifier = Object.entries(await verifiers()).find(([known]) => known === who)?.[1]
      if (who !== parts.operator && verifier === undefined) return refused('unknown-operator')
      // The key is everybody's; only the passphrase tells one operator from another.
      if (passphrase === null && who !== parts.operator) return refused('unknown-operator')
      if (passphrase === null) return { ok: true, presence: admit(who, 'present') }
      if (!isJsonObject(verifier)) return refused('no-passphrase-set')
      const tried = await tries.run(who, () => passphrases.matches(passphrase, verifier))
      if (tried.kind === 'wait') return refused('slow-down', tried.ms)
      return tried.right ? { ok: true, presence: admit(who, 'proved') } : refused('wrong-passphrase')
    },
    atTerminal: (name = parts.operator) => admit(name, 'terminal'),
    leave: ({ sessionId }) => void inside.delete(sessionId),
    holds: (sessionId, name) => inside.get(sessionId) === name,
    isOperator: async (name) => name === parts.operator || Object.hasOwn(await verifiers(), name),
    hasPassphrase: async () => Object.keys(await verifiers()).length > 0,
    async setPassphrase(passphrase, whose, presence) {
      const unfit = passphraseProblem(passphrase)
      if (unfit !== null) return { ok: false, problem: 'unfit', detail: unfit }
      const fresh = await passphrases.verifier(passphrase)
      // One after the other: two first passphrases at once would both find that there is none.
      return tries.alone(async () => {
        const all = await verifiers()
        const problem = mayNotSet(all, whose, presence)
        if (problem !== null) return { ok: false, problem: 'needs-proof', detail: problem }
        const act = { act: 'passphrase-set', subject: whose, detail: { first: !Object.hasOwn(all, whose) } }
        await parts.settings.put(
          setting,
          { verifiers: { ...all, [whose]: fresh } },
          parts.acts(act, presence.actor),
        )
        return { ok: true }
      })
    },
  }
}

const proofs = {
  present: { actor: 'operator-key', approval: null },
  proved: { actor: 'passphrase', approval: 'passphrase' },
  terminal: { actor: 'terminal', approval: 'terminal' },
} as const satisfies {
  readonly [L in Level]: { readonly actor: string; readonly approval: ProofClass | null }
}

/**
 * Whoever sets a passphrase can approve with it. So the first one, and every further operator, is made at the terminal
 * that runs the broker: a key file is readable by agents of the same user, and one person must not become two.
 */
function mayNotSet(all: JsonObject, whose: string, presence: Presence): string | null {
  switch (presence.level) {
    case 'terminal':
      return null
    case 'proved':
      return whose === presence.name
        ? null
        : `the passphrase of \`${whose}\` is set at the broker's own terminal`
    case 'present':
      return Object.hasOwn(all, whose)
        ? 'a passphrase is set already; give it to change it'
        : "the first passphrase is set at the broker's own terminal"
  }
}

const refused = (problem: EntryProblem, waitMs = 0): Entered => ({ ok: false, problem, waitMs })

/** Compares digests, so that neither length nor content shows in the time it takes. */
const sameKey = (given: string, kept: string): boolean => timingSafeEqual(digest(given), digest(kept))
const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

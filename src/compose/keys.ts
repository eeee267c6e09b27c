import { createHash, createPublicKey, hkdfSync, randomBytes, type KeyObject } from 'node:crypto'
import { join } from 'node:path'
import { loadSealKey, sealKeyFile, type KeySource } from '../credential/key.ts'
import { brokerActor, type Acts } from '../identity/actor.ts'
import type { Clock } from '../lib/clock.ts'
import type { Config } from '../config/schema.ts'
import type { JsonObject } from '../lib/json.ts'
import type { SettingStore } from '../store/ports.ts'
import { loadSigningKey, newSigningKey } from '../audit/note.ts'
import { loadTokenKey, type KeyPair } from '../identity/key.ts'
import { operatorKey } from '../identity/operator.ts'
import { livingMs } from './living.ts'
import { keepPrivate, PrivateFileError } from '../identity/private.ts'

/** The broker's own keys, one for each purpose; made at the first start, 0600, below `<home>/keys/`. */
export type BrokerKeys = {
  /** Seals stored secrets. */
  readonly seal: KeyObject
  /** Signs access tokens. */
  readonly token: KeyPair
  /** Signs checkpoints of the log. */
  readonly log: KeyObject
  /** Recognises equal calls (I2). */
  readonly fingerprint: Uint8Array
  /** Keys of values that tasks have met. */
  readonly flow: Uint8Array
  /** Seals the state that agents carry between legs. */
  readonly state: Uint8Array
  /** What a scraper of metrics sends; opens nothing else. */
  readonly scrape: string
  /** What proves presence at the operators' listener. */
  readonly operator: string
}

type Kept = Pick<Config, 'home' | 'keys' | 'sealKeyCommand'>

/** Where the keys lie: in a folder that may be mounted read only, else below `home`. */
export const keysFolder = ({ home, keys }: Pick<Config, 'home' | 'keys'>): string =>
  keys ?? join(home, 'keys')

/** Where `operator.token` lies: with the keys when these have a folder of their own, else in `home`. */
export const operatorFolder = ({ home, keys }: Pick<Config, 'home' | 'keys'>): string => keys ?? home

/** Where the sealing key comes from: a command keeps it off this disk. */
export const sealKeySource = (config: Kept): KeySource => {
  const [program, ...args] = config.sealKeyCommand ?? []
  return program === undefined ? { file: sealKeyFile(keysFolder(config)) } : { command: [program, ...args] }
}

/** Reads the keys; those that are missing are made. Throws `PrivateFileError` or `KeyProblem`, both with a hint. */
export async function loadKeys(config: Kept): Promise<BrokerKeys> {
  const folder = keysFolder(config)
  const root = Buffer.from(
    await keepPrivate(join(folder, 'broker.key'), () => randomBytes(32).toString('base64url')),
    'base64url',
  )
  if (root.length !== 32) {
    throw new PrivateFileError(
      `\`${join(folder, 'broker.key')}\` holds no key`,
      'put the right file back from a backup',
    )
  }
  return {
    seal: await loadSealKey(sealKeySource(config)),
    token: await loadTokenKey(folder),
    log: await loadLogKey(join(folder, 'log.pem')),
    fingerprint: derive(root, 'fingerprint'),
    flow: derive(root, 'flow'),
    state: derive(root, 'request-state'),
    scrape: Buffer.from(derive(root, 'scrape')).toString('base64url'),
    operator: await operatorKey(operatorFolder(config)),
  }
}

async function loadLogKey(path: string): Promise<KeyObject> {
  const text = await keepPrivate(path, newSigningKey)
  try {
    return loadSigningKey(text.trim())
  } catch {
    // The parser's message could quote the key.
    throw new PrivateFileError(
      `\`${path}\` is no Ed25519 key in PEM`,
      'put the right file back from a backup: with another one the log cannot be continued',
    )
  }
}

/**
 * Names of the key files that can be kept beside what they protect: SHA-256 over each key with its purpose, half of it.
 * The keys are random and 256 bits long, so a name leads back to none of them.
 */
export type KeyNames = { readonly [Name in 'seal' | 'token' | 'log' | 'broker' | 'operator']: string }

export const keyNames = (keys: BrokerKeys): KeyNames => ({
  seal: nameOf('seal', keys.seal.export()),
  token: keys.token.kid,
  log: nameOf('log', createPublicKey(keys.log).export({ type: 'spki', format: 'der' })),
  // One of those derived from it stands for the root.
  broker: nameOf('broker', keys.fingerprint),
  operator: nameOf('operator', Buffer.from(keys.operator)),
})

const nameOf = (purpose: string, key: Uint8Array): string =>
  createHash('sha256')
    .update(`countersign key name ${purpose}\n`)
    .update(key)
    .digest('base64url')
    .slice(0, 22)

/** This node's keys are not those of the nodes beside it. */
export class KeysDiffer extends Error {
  override readonly name = 'KeysDiffer'
  readonly hint =
    'give every node the same folder of keys; to change them on purpose, stop every node first (see docs/guides/kubernetes.md)'
}

export const keysSetting = 'keys'

/**
 * The store remembers which keys wrote into it. Others are no accident to pass over: a node that signs the log with
 * another key forks it, one with another token key refuses what its neighbours issued, and without the same root equal
 * writes are not recognised (I2). So a node beside living ones does not start; one that is alone has new keys on
 * purpose or has lost the old ones, and the log says which.
 */
export async function settleKeys(parts: {
  readonly config: Pick<Config, 'store'>
  readonly keys: BrokerKeys
  readonly store: { readonly settings: SettingStore }
  readonly acts: Acts
  readonly clock: Clock
}): Promise<void> {
  const { settings } = parts.store
  const names: JsonObject = { ...keyNames(parts.keys) }
  const before = await settings.get(keysSetting)
  if (before === null) return settings.put(keysSetting, names, null)
  const changed = Object.keys(names).filter((name) => names[name] !== before[name])
  if (changed.length === 0) return
  // A file has one broker at a time; in a database the others are those with a heartbeat.
  const others = parts.config.store === undefined ? [] : await settings.living(parts.clock.now(), livingMs)
  if (others.length > 0)
    throw new KeysDiffer(`other nodes run with other keys on this store (${changed.join(', ')})`)
  const detail = { changed }
  await settings.put(
    keysSetting,
    names,
    parts.acts({ act: 'keys-changed', subject: 'broker', detail }, brokerActor),
  )
}

/** HKDF (RFC 5869): one root, a key of its own for each purpose. */
const derive = (root: Uint8Array, purpose: string): Uint8Array =>
  new Uint8Array(hkdfSync('sha256', root, '', `countersign ${purpose}`, 32))

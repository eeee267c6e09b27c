import { hkdfSync, randomBytes, type KeyObject } from 'node:crypto'
import { join } from 'node:path'
import { loadSealKey, sealKeyFile, type KeySource } from '../credential/key.ts'
import type { Config } from '../config/schema.ts'
import { loadSigningKey, newSigningKey } from '../audit/note.ts'
import { loadTokenKey, type KeyPair } from '../identity/key.ts'
import { operatorKey } from '../identity/operator.ts'
import { PrivateFileError, readPrivate, writePrivate } from '../identity/private.ts'

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
  /** Seals the state that agents carry between legs. */
  readonly state: Uint8Array
  /** What proves presence at the operators' listener. */
  readonly operator: string
}

/** Where the sealing key comes from: a command keeps it off this disk. */
export const sealKeySource = (config: Pick<Config, 'home' | 'sealKeyCommand'>): KeySource => {
  const [program, ...args] = config.sealKeyCommand ?? []
  return program === undefined ? { file: sealKeyFile(config.home) } : { command: [program, ...args] }
}

export async function loadKeys(config: Pick<Config, 'home' | 'sealKeyCommand'>): Promise<BrokerKeys> {
  const { home } = config
  const root = Buffer.from(
    await keep(join(home, 'keys', 'broker.key'), () => randomBytes(32).toString('base64url')),
    'base64url',
  )
  if (root.length !== 32) {
    throw new PrivateFileError('`keys/broker.key` holds no key', 'put the right file back from a backup')
  }
  return {
    seal: await loadSealKey(sealKeySource(config)),
    token: await loadTokenKey(home),
    log: loadSigningKey(await keep(join(home, 'keys', 'log.pem'), newSigningKey)),
    fingerprint: derive(root, 'fingerprint'),
    state: derive(root, 'request-state'),
    operator: await operatorKey(home),
  }
}

/** HKDF (RFC 5869): one root, a key of its own for each purpose. */
const derive = (root: Uint8Array, purpose: string): Uint8Array =>
  new Uint8Array(hkdfSync('sha256', root, '', `countersign ${purpose}`, 32))

/** Reads a private file, made the first time. */
async function keep(path: string, make: () => string): Promise<string> {
  try {
    await writePrivate(path, make(), 'exclusive')
  } catch (problem) {
    if (!(problem instanceof PrivateFileError)) throw problem
  }
  return (await readPrivate(path)).trim()
}

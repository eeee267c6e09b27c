import { access } from 'node:fs/promises'
import { bad, hintOf, ok, said, warning, type Check } from './check.ts'
import {
  keyNames,
  keysFolder,
  keysSetting,
  loadKeys,
  operatorFolder,
  type BrokerKeys,
} from '../../compose/keys.ts'
import { join } from 'node:path'
import { get as setting } from '../../store/verbs/settings.ts'
import { list as secretNames, get as secretOf } from '../../store/verbs/secrets.ts'
import { readPrivate } from '../../identity/private.ts'
import { unsealValue } from '../../credential/seal.ts'
import type { Config } from '../../config/schema.ts'
import type { Look } from './look.ts'

/** The files of the keys, with what goes when one is lost. */
const lost: { readonly [file: string]: string } = {
  'seal.key': 'no stored secret opens without it',
  'token.jwk': 'every token that was issued becomes foreign',
  'log.pem': 'the log cannot be continued under another one',
  'broker.key': 'equal writes are not recognised across the change',
  'operator.token': 'commands have no way in',
}

/** Each key is there and private. `known`: a store that they belong to is there, so none of them may be missing. */
export async function keyFiles(config: Config, known: boolean): Promise<readonly Check[]> {
  const folder = keysFolder(config)
  const kept = Object.keys(lost).filter((name) => name !== 'seal.key' || config.sealKeyCommand === undefined)
  return Promise.all(
    kept.map(async (name): Promise<Check> => {
      const path = join(name === 'operator.token' ? operatorFolder(config) : folder, name)
      const there = await access(path).then(
        () => true,
        (problem: unknown) => !(problem instanceof Error && 'code' in problem && problem.code === 'ENOENT'),
      )
      if (!there && !known && config.keys === undefined)
        return warning(name, 'not made yet', 'countersign serve')
      if (!there && !known) return bad(name, `not in \`${folder}\``, `countersign keys ${folder}`)
      if (!there) return bad(name, `gone, and ${lost[name]}`, `put \`${path}\` back from a backup`)
      return readPrivate(path).then(
        () => ok(name, 'private'),
        (problem: unknown) => bad(name, said(problem), hintOf(problem, `look at it: ls -l ${path}`)),
      )
    }),
  )
}

export type Ring = { readonly keys: BrokerKeys | null; readonly checks: readonly Check[] }

/** Reads the keys when each of their files is well: so none is made. */
export async function ringOf(config: Config, files: readonly Check[]): Promise<Ring> {
  if (files.some(({ state }) => state !== 'ok')) return { keys: null, checks: files }
  try {
    return { keys: await loadKeys(config), checks: files }
  } catch (problem) {
    const check = bad('keys', said(problem), hintOf(problem, 'put the right file back from a backup'))
    return { keys: null, checks: [...files, check] }
  }
}

/**
 * The same keys as those that wrote into the store: by the names that it remembers, and by opening one stored secret, as
 * a name shows what was meant and only a seal that opens shows what holds.
 */
export async function sameKeys(look: Look, keys: BrokerKeys): Promise<Check> {
  const hint = 'give this node the keys of the others, or put them back from a backup'
  const known = await look.view(setting(keysSetting))
  const names: { readonly [name: string]: string } = keyNames(keys)
  const other = known === null ? [] : Object.keys(names).filter((name) => known[name] !== names[name])
  if (other.length > 0)
    return bad('same keys', `other keys than those that wrote into the store: ${other.join(', ')}`, hint)
  const [first] = await look.view(secretNames())
  const sealed = first === undefined ? null : await look.view(secretOf(first.name))
  if (sealed !== null && !unsealValue(keys.seal, sealed.name, sealed.sealed).ok)
    return bad('same keys', `the stored secret \`${sealed.name}\` does not open with the sealing key`, hint)
  return known === null
    ? warning('same keys', 'the store remembers none yet', 'countersign serve')
    : ok('same keys', 'those that wrote into the store')
}

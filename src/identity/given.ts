import { access, constants, open, realpath, stat, type FileHandle } from 'node:fs/promises'
import { dirname, sep } from 'node:path'
import type { Stats } from 'node:fs'

/**
 * Secrets that a machine's administrator hands to this process: a Secret that Kubernetes mounts, a credential of
 * systemd. They differ from files that we made ourselves: they belong to root, are read through a group or an access
 * list, and lie behind links. They are believed where nobody but root can have put them there.
 */
export type Given = 'mounted' | 'kept-by-root'

/**
 * `mounted`: the folder is read only for everyone here, root included, so what lies in it came with the mount.
 * `kept-by-root`: only root writes there. Null for a folder that others, or we ourselves, can write to.
 */
async function givenIn(folder: string): Promise<Given | null> {
  const refused = await access(folder, constants.W_OK).then(() => null, codeOf)
  if (refused === 'EROFS') return 'mounted'
  if (refused !== 'EACCES') return null
  const { uid, mode } = await stat(folder)
  return uid === 0 && (mode & 0o022) === 0 ? 'kept-by-root' : null
}

/** An opened private file, and how it was given; null for one of our own. */
export type OpenedPrivate = { readonly file: FileHandle; readonly given: Given | null }

/**
 * Opens a file for reading without following a link: a name can point elsewhere a moment later. Kubernetes mounts each
 * key as a link inside its volume; such a one is followed as long as it stays in a folder that only root fills.
 * Throws what `open` throws; `ELOOP` for a link that is not followed.
 */
export async function openPrivate(path: string): Promise<OpenedPrivate> {
  const folder = dirname(path)
  try {
    const file = await open(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0))
    return { file, given: await givenIn(folder) }
  } catch (problem) {
    if (codeOf(problem) !== 'ELOOP') throw problem
    const given = await givenIn(folder)
    if (given === null) throw problem
    const [target, within] = await Promise.all([realpath(path), realpath(folder)])
    if (!target.startsWith(`${within}${sep}`)) throw problem
    return { file: await open(target, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0)), given }
  }
}

/**
 * Whether more people can read or change it than whom it was meant for. Of our own files nobody else may. A file that
 * root gave may be read through its group: in a mount that is the group of this pod's processes (`fsGroup`), which run as
 * the same user as we do and could read it from our memory; in root's own group (systemd) the bit is the mask of an
 * access list that names this user alone.
 */
export function isOpenToOthers(
  { mode, uid, gid }: Pick<Stats, 'mode' | 'uid' | 'gid'>,
  given: Given | null,
): boolean {
  if (process.platform === 'win32' || (mode & 0o077) === 0) return false
  const throughGroup = uid === 0 && (given === 'mounted' || (given === 'kept-by-root' && gid === 0))
  return !throughGroup || (mode & 0o037) !== 0
}

const codeOf = (problem: unknown): string =>
  problem instanceof Error && 'code' in problem ? String(problem.code) : 'unknown'

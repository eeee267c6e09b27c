import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { chmod, chown, lstat, open, realpath, rename, rm } from 'node:fs/promises'
import { dirname, sep } from 'node:path'
import { digestOf } from './plan.ts'

/** Claude Code keeps its history in the same file; beyond this something else is wrong. */
const maxBytes = 64 * 1024 * 1024

/** A file as it was read: what is needed to tell whether it changed and to put it back. */
export type Snapshot = {
  readonly path: string
  /** The file itself, when `path` is a link to it: links stay links. */
  readonly target: string
  readonly bytes: Uint8Array
  readonly digest: string
  readonly mode: number
  readonly uid: number
  readonly gid: number
}

export type Read =
  | { readonly kind: 'file'; readonly file: Snapshot }
  | { readonly kind: 'none' }
  | { readonly kind: 'unfit'; readonly why: string }

/** What adopt does to files; tests make it fail at every step. */
export type Files = {
  read(path: string, within: string | null): Promise<Read>
  /** Whole or not at all, keeping mode and owner. Throws when the file is not what was expected. */
  replace(file: Omit<Snapshot, 'bytes' | 'path'>, bytes: Uint8Array): Promise<void>
}

export const realFiles: Files = { read, replace }

/**
 * Reads a client's file. `within`: the project's folder that the file must really be in: a cloned project could hold a
 * link to a file of the owner's that is none of its business.
 */
async function read(path: string, within: string | null): Promise<Read> {
  const target = await realpath(path).catch(() => null)
  if (target === null) {
    const dangling = await lstat(path).then(
      () => true,
      () => false,
    )
    return dangling ? { kind: 'unfit', why: 'it is a link to nothing' } : { kind: 'none' }
  }
  if (within !== null && !target.startsWith((await realpath(within)) + sep)) {
    return { kind: 'unfit', why: 'it is a link out of its project' }
  }
  const handle = await open(target, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0)).catch(() => null)
  if (handle === null) return { kind: 'unfit', why: 'it cannot be read' }
  try {
    const status = await handle.stat()
    const why = unfit(status)
    if (why !== null) return { kind: 'unfit', why }
    const bytes = new Uint8Array(await handle.readFile())
    const { mode, uid, gid } = status
    return {
      kind: 'file',
      file: { path, target, bytes, digest: digestOf(bytes), mode: mode & 0o7777, uid, gid },
    }
  } finally {
    await handle.close()
  }
}

function unfit(status: {
  isFile(): boolean
  size: number
  uid: number
  nlink: number
  mode: number
}): string | null {
  if (!status.isFile()) return 'it is not a file'
  if (status.size > maxBytes) return `it is larger than ${maxBytes / 1024 / 1024} MiB`
  if (process.getuid !== undefined && status.uid !== process.getuid()) return 'it belongs to another user'
  if (status.nlink > 1) return 'it has a second name (hard link), which would keep the old text'
  // By its mode, not by trying: a new file put in its place would not mind, its owner would.
  if ((status.mode & 0o200) === 0) return 'it is read-only; make it writable and run again'
  return null
}

async function replace(file: Omit<Snapshot, 'bytes' | 'path'>, bytes: Uint8Array): Promise<void> {
  const draft = `${file.target}.${randomBytes(6).toString('hex')}.tmp`
  const handle = await open(draft, 'wx', 0o600)
  try {
    try {
      await handle.writeFile(bytes)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await keepOwner(draft, file)
    await chmod(draft, file.mode)
    const now = await read(file.target, null)
    if (now.kind !== 'file' || now.file.digest !== file.digest || now.file.target !== file.target)
      throw new Changed(file.target)
    await rename(draft, file.target)
  } catch (error) {
    await rm(draft, { force: true })
    throw error
  }
  await syncFolder(dirname(file.target))
}

async function keepOwner(
  path: string,
  { uid, gid }: { readonly uid: number; readonly gid: number },
): Promise<void> {
  const status = await lstat(path)
  if (status.uid !== uid || status.gid !== gid) await chown(path, uid, gid)
}

/** Somebody else wrote the file meanwhile; what they wrote stays. */
export class Changed extends Error {
  override readonly name = 'Changed'
  constructor(path: string) {
    super(`\`${path}\` changed since it was read; run again`)
  }
}

/** A rename is durable once its folder is (not possible, and not needed, on Windows). */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

import { constants } from 'node:fs'
import { link, mkdir, open, rename, rm, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { randomUUID } from 'node:crypto'

/** A private file that cannot be trusted or found. `hint` is something to paste. */
export class PrivateFileError extends Error {
  override readonly name = 'PrivateFileError'
  readonly hint: string

  constructor(message: string, hint: string) {
    super(message)
    this.hint = hint
  }
}

const largest = 64 * 1024

/**
 * Writes a file that only this user can read (0600, its folder 0700). `exclusive` refuses to touch an existing one, so
 * that a key is never replaced by accident; otherwise the new text takes the old one's place in one step (rename).
 */
export async function writePrivate(path: string, text: string, mode: 'exclusive' | 'replace'): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  // Whole before it has its name: a crash, or another process at the same moment, never finds half a key.
  const beside = `${path}.${randomUUID()}`
  try {
    await writeNew(beside, text)
    if (mode === 'replace') await rename(beside, path)
    else await link(beside, path)
  } catch (problem) {
    if (codeOf(problem) !== 'EEXIST') throw problem
    throw new PrivateFileError(`\`${path}\` exists already`, `move it away first: mv ${path} ${path}.old`)
  } finally {
    await rm(beside, { force: true })
  }
}

async function writeNew(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

/**
 * Reads a private file, at most 64 KiB. Refuses links, and files that the group or others may read or write: a key that
 * others can read proves nothing. The permissions are those of the opened file, so nothing can be swapped in between.
 */
export async function readPrivate(path: string): Promise<string> {
  let file: FileHandle
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  } catch (problem) {
    const code = codeOf(problem)
    if (code === 'ENOENT')
      throw new PrivateFileError(
        `there is no \`${path}\``,
        'run the command that makes it, or pass the right --home',
      )
    if (code === 'ELOOP') throw new PrivateFileError(`\`${path}\` is a link`, 'put the file itself there')
    throw problem
  }
  try {
    const stat = await file.stat()
    if (!stat.isFile()) throw new PrivateFileError(`\`${path}\` is not a file`, 'put the file itself there')
    if (process.platform !== 'win32' && (stat.mode & 0o077) !== 0) {
      throw new PrivateFileError(
        `\`${path}\` can be read by others, so it proves nothing`,
        `chmod 600 ${path}`,
      )
    }
    if (stat.size > largest)
      throw new PrivateFileError(`\`${path}\` is larger than any key`, 'put the right file there')
    return await file.readFile('utf8')
  } finally {
    await file.close()
  }
}

const codeOf = (problem: unknown): string | null =>
  problem instanceof Error && 'code' in problem && typeof problem.code === 'string' ? problem.code : null

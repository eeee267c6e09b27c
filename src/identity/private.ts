import { access, link, mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { isOpenToOthers, openPrivate, type OpenedPrivate } from './given.ts'
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
export async function writePrivate(
  path: string,
  text: string | Uint8Array,
  mode: 'exclusive' | 'replace',
): Promise<void> {
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

async function writeNew(path: string, text: string | Uint8Array): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

/**
 * Reads a file that is made at the first start, and never again. Nothing is written when it is there: the folder may be
 * mounted read only. Of two that start at once one makes it and both read that.
 */
export async function keepPrivate(path: string, make: () => string): Promise<string> {
  const missing = await access(path).then(
    () => false,
    (problem: unknown) => codeOf(problem) === 'ENOENT',
  )
  if (missing) await writeFirst(path, make())
  return readPrivate(path)
}

async function writeFirst(path: string, text: string): Promise<void> {
  try {
    await writePrivate(path, text, 'exclusive')
  } catch (problem) {
    if (problem instanceof PrivateFileError) return
    const code = codeOf(problem)
    if (code !== 'EROFS' && code !== 'EACCES') throw problem
    throw new PrivateFileError(
      `there is no \`${path}\`, and it cannot be made there (${code})`,
      'make the keys once and put all of them there: countersign keys ./keys',
    )
  }
}

/**
 * Reads a private file, at most 64 KiB. Refuses links, and files that the group or others may read or write: a key that
 * others can read proves nothing. What root has put into a folder that we cannot write to has its own rule (`given.ts`).
 * The permissions are those of the opened file, so nothing can be swapped in between.
 */
export async function readPrivate(path: string): Promise<string> {
  const { file, given } = await opened(path)
  try {
    const stat = await file.stat()
    if (!stat.isFile()) throw new PrivateFileError(`\`${path}\` is not a file`, 'put the file itself there')
    if (isOpenToOthers(stat, given)) {
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

async function opened(path: string): Promise<OpenedPrivate> {
  try {
    return await openPrivate(path)
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
}

const codeOf = (problem: unknown): string | null =>
  problem instanceof Error && 'code' in problem && typeof problem.code === 'string' ? problem.code : null

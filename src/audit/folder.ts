import { randomBytes } from 'node:crypto'
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** The folder that a log is published to. Whatever stands in it under its name is whole: a reader never sees a half. */
export type Folder = {
  /** Null when there is no such file. */
  read(path: string): Promise<Uint8Array | null>
  /** Durable when it resolves, and there at once; writes nothing when the file holds these bytes already. */
  put(path: string, bytes: Uint8Array): Promise<void>
  drop(path: string): Promise<void>
}

/** Entries name people and tools: nobody but the broker's user gets in unless an operator says so. */
const mode = 0o700

export function createFolder(directory: string): Folder {
  const read = (path: string): Promise<Uint8Array | null> => readIfThere(join(directory, path))
  return {
    read,
    put: async (path, bytes) => {
      const there = await read(path)
      if (there === null || Buffer.compare(there, bytes) !== 0) await replace(directory, path, bytes)
    },
    drop: (path) => rm(join(directory, path), { recursive: true, force: true }),
  }
}

export async function readIfThere(path: string): Promise<Uint8Array | null> {
  try {
    return await readFile(path)
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR'))
      return null
    throw error
  }
}

/** Another name first, synced, then renamed: if the process dies here, the old file stands and a `.tmp` is left over. */
async function replace(directory: string, path: string, bytes: Uint8Array): Promise<void> {
  const target = join(directory, path)
  const parent = dirname(target)
  const made = await mkdir(parent, { recursive: true, mode })
  const temporary = join(parent, `.${randomBytes(6).toString('hex')}.tmp`)
  const file = await open(temporary, 'wx', 0o600)
  try {
    await file.writeFile(bytes)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(temporary, target)
  await syncFolder(parent)
  // A new folder's name is in its parent: without this, a power cut could take the folder and what is in it.
  if (made !== undefined) {
    for (let up = parent; up.length >= made.length; up = dirname(up)) await syncFolder(dirname(up))
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

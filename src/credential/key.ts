import { execFile } from 'node:child_process'
import { createSecretKey, randomBytes } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { constants } from 'node:fs'
import { link, mkdir, open, unlink, type FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { isOpenToOthers, openPrivate } from '../identity/given.ts'

/**
 * The key that seals the store. Who reads it and the store has every secret, so a file that others could read is
 * refused instead of warned about.
 */
export type KeySource =
  | { readonly file: string }
  /** Run without a shell; must print 32 bytes in base64 within `timeoutMs` (10 s when left out). */
  | { readonly command: readonly [string, ...string[]]; readonly timeoutMs?: number }

/** The key is missing, readable by others or not a key. `hint` is something to do about it. */
export class KeyProblem extends Error {
  override readonly name = 'KeyProblem'
  readonly hint: string

  constructor(message: string, hint: string) {
    super(message)
    this.hint = hint
  }
}

export const sealKeyFile = (keys: string): string => join(keys, 'seal.key')

/** Reads the key; a file that does not exist yet is made (0600, exclusively). Throws `KeyProblem`. */
export async function loadSealKey(source: KeySource): Promise<KeyObject> {
  if ('command' in source)
    return keyFrom(await outputOf(source.command, source.timeoutMs ?? 10_000), 'the key command')
  return keyFrom((await readKeyFile(source.file)) ?? (await makeKeyFile(source.file)), `\`${source.file}\``)
}

function keyFrom(text: string, where: string): KeyObject {
  const trimmed = text.trim()
  const bytes = /^[A-Za-z0-9+/_-]{43}=?$/.test(trimmed) ? Buffer.from(trimmed, 'base64') : Buffer.alloc(0)
  if (bytes.length !== 32) {
    throw new KeyProblem(
      `expected 32 bytes in base64 from ${where}`,
      'put the right key back: without it no sealed secret opens',
    )
  }
  const key = createSecretKey(bytes)
  bytes.fill(0)
  return key
}

/**
 * The checks are made on the opened file, not on its name: a name can point elsewhere a moment later. It is our own, or
 * root gave it (`identity/given.ts`).
 */
async function readKeyFile(file: string): Promise<string | null> {
  const found = await openPrivate(file).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return null
    if (codeOf(error) === 'ELOOP')
      throw new KeyProblem(`\`${file}\` is a link`, 'put the key file itself there')
    throw new KeyProblem(`\`${file}\` cannot be read (${codeOf(error)})`, 'run as the user who owns it')
  })
  if (found === null) return null
  const { file: handle, given } = found
  try {
    const status = await handle.stat()
    if (!status.isFile() || status.size > 1024)
      throw new KeyProblem(`\`${file}\` is not a key file`, 'put the key file back')
    if (isOpenToOthers(status, given)) {
      throw new KeyProblem(
        `\`${file}\` can be read by others`,
        `chmod 600 ${file}   (and change the secrets if others had access)`,
      )
    }
    const ours = process.getuid === undefined || status.uid === process.getuid()
    if (!ours && (given === null || status.uid !== 0)) {
      throw new KeyProblem(`\`${file}\` belongs to another user`, 'run as the user who owns it')
    }
    return await handle.readFile('utf8')
  } finally {
    await handle.close()
  }
}

/** Written beside and linked into place: nobody ever sees half a key, and of two that start at once one wins. */
async function makeKeyFile(file: string): Promise<string> {
  const draft = `${file}.${randomBytes(6).toString('hex')}`
  const handle = await newFile(draft).catch((error: unknown) => {
    throw new KeyProblem(
      `there is no \`${file}\`, and it cannot be made there (${codeOf(error)})`,
      'make the keys once and put all of them there: countersign keys ./keys',
    )
  })
  try {
    await handle.writeFile(`${randomBytes(32).toString('base64')}\n`)
    await handle.sync()
  } finally {
    await handle.close()
  }
  try {
    await link(draft, file)
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
  } finally {
    await unlink(draft)
  }
  const made = await readKeyFile(file)
  if (made === null) throw new KeyProblem(`\`${file}\` went away while it was made`, 'try again')
  return made
}

async function newFile(path: string): Promise<FileHandle> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  return open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600)
}

function outputOf(command: readonly [string, ...string[]], timeoutMs: number): Promise<string> {
  const [program, ...args] = command
  return new Promise((resolve, reject) => {
    const options = {
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
      maxBuffer: 4096,
      encoding: 'utf8',
      windowsHide: true,
    } as const
    // Neither output stream may reach a message: a failing command may have printed the key already.
    const child = execFile(program, args, options, (error, stdout) => {
      if (error === null) return resolve(stdout)
      const why =
        error.killed === true
          ? `did not answer within ${timeoutMs} ms`
          : `failed (${String(error.code ?? error.signal)})`
      reject(
        new KeyProblem(
          `the key command \`${program}\` ${why}`,
          'run it by hand; it must print 32 bytes in base64',
        ),
      )
    })
    child.stdin?.end()
  })
}

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error ? String(error.code) : 'unknown'

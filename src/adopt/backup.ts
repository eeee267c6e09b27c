import type { KeyObject } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { sealValue, unsealValue } from '../credential/seal.ts'
import { rfc3339 } from '../lib/clock.ts'
import { syncFolder } from './file.ts'

/**
 * What is needed to put every byte back. The files as they were hold tokens, so they are kept under the seal key; the
 * manifest beside them holds digests and names only. It is durable before the first client's file is touched: a process
 * that dies in between leaves something that `--undo` understands.
 */
const manifestSchema = z.strictObject({
  v: z.literal(1),
  at: z.string(),
  state: z.enum(['begun', 'done', 'undone']),
  files: z.array(
    z.strictObject({
      path: z.string(),
      target: z.string(),
      mode: z.number(),
      uid: z.number(),
      gid: z.number(),
      before: z.string(),
      after: z.string(),
      backup: z.string().regex(/^[0-9]+\.sealed$/),
      entries: z.array(z.array(z.string())),
    }),
  ),
  servers: z.array(z.string()),
  secrets: z.array(z.string()),
  agents: z.array(z.string()),
})
export type Manifest = z.infer<typeof manifestSchema>
export type BackedUp = Manifest['files'][number]

/** A folder of its own for each time; makes it. */
export async function backupFolder(home: string, now: number): Promise<string> {
  const all = join(home, 'adopt')
  await mkdir(all, { recursive: true, mode: 0o700 })
  const folder = join(all, rfc3339(now).replaceAll(':', '-'))
  await mkdir(folder, { mode: 0o700 })
  await syncFolder(all)
  return folder
}

export async function writeBackup(
  folder: string,
  name: string,
  bytes: Uint8Array,
  key: KeyObject,
): Promise<void> {
  await write(join(folder, name), sealValue(key, name, bytes), 'wx')
}

export async function readBackup(folder: string, name: string, key: KeyObject): Promise<Uint8Array> {
  const opened = unsealValue(key, name, new Uint8Array(await readFile(join(folder, name))))
  if (!opened.ok) throw new Error(`the backup \`${join(folder, name)}\` does not open: ${opened.detail}`)
  return opened.bytes
}

export async function writeManifest(folder: string, manifest: Manifest): Promise<void> {
  const file = join(folder, 'manifest.json')
  await write(`${file}.tmp`, Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`), 'w')
  await rename(`${file}.tmp`, file)
  await syncFolder(folder)
}

/** The newest that is not undone, or null. */
export async function newestManifest(
  home: string,
): Promise<{ readonly folder: string; readonly manifest: Manifest } | null> {
  const all = join(home, 'adopt')
  const names = await readdir(all).catch(() => [])
  for (const name of names.toSorted((a, b) => (a < b ? 1 : -1))) {
    const text = await readFile(join(all, name, 'manifest.json'), 'utf8').catch(() => null)
    if (text === null) continue
    const manifest = manifestSchema.safeParse(JSON.parse(text))
    if (!manifest.success)
      throw new Error(`\`${join(all, name, 'manifest.json')}\` is not a manifest of this version`)
    if (manifest.data.state !== 'undone') return { folder: join(all, name), manifest: manifest.data }
  }
  return null
}

async function write(file: string, bytes: Uint8Array, flags: 'w' | 'wx'): Promise<void> {
  const handle = await open(file, flags, 0o600)
  try {
    await handle.writeFile(bytes)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

import type { KeyObject } from 'node:crypto'
import { mkdir, open, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { applyEdits, findNodeAtLocation } from 'jsonc-parser'
import type { Node } from 'jsonc-parser'
import type { AdoptPorts } from './apply.ts'
import { newestManifest, readBackup, writeBackup, writeManifest } from './backup.ts'
import type { BackedUp } from './backup.ts'
import { bom, treeOf } from './entry.ts'
import { realFiles } from './file.ts'
import type { Files, Snapshot } from './file.ts'
import { digestOf } from './plan.ts'

export type Undone =
  | { readonly kind: 'nothing' }
  | {
      readonly kind: 'undone'
      readonly restored: readonly string[]
      readonly merged: readonly string[]
      readonly notRemoved: readonly string[]
    }
  /** These were edited since; nothing was changed. */
  | { readonly kind: 'edited'; readonly paths: readonly string[] }
  | { readonly kind: 'failed'; readonly detail: string; readonly restored: readonly string[] }

type Work = {
  readonly file: BackedUp
  readonly snapshot: Snapshot | null
  readonly original: Uint8Array
  readonly edited: boolean
}

/**
 * Puts back what the newest adopt changed: every byte where nobody wrote since. An edited file is left alone, or with
 * `force` gets its old servers back and keeps the rest of the edits (Claude Code writes its file all day); where that
 * is not possible it becomes what it was, and what it is now is kept, sealed, beside the backup.
 */
export async function undo(parts: {
  readonly home: string
  readonly key: KeyObject
  readonly ports: Pick<AdoptPorts, 'removeServer' | 'removeSecret'>
  readonly force: boolean
  readonly files?: Files
}): Promise<Undone> {
  const files = parts.files ?? realFiles
  const newest = await newestManifest(parts.home)
  if (newest === null) return { kind: 'nothing' }
  const { folder, manifest } = newest
  const restored: string[] = []
  const merged: string[] = []
  try {
    const work: Work[] = []
    for (const file of manifest.files) work.push(await workOf(file, folder, parts.key, files))
    const edited = work.filter((item) => item.edited)
    if (edited.length > 0 && !parts.force)
      return { kind: 'edited', paths: edited.map(({ file }) => file.path) }
    for (const item of work) {
      const now = item.snapshot?.digest ?? null
      if (now === item.file.before) continue
      const bytes = (item.edited ? merge(item) : null) ?? item.original
      if (item.edited && item.snapshot !== null)
        await keepEdited(folder, item.file.backup, item.snapshot.bytes, parts.key)
      await putBack(item, bytes, files)
      ;(bytes === item.original ? restored : merged).push(item.file.path)
    }
    const notRemoved = await unregister(manifest, parts.ports)
    await writeManifest(folder, { ...manifest, state: 'undone' })
    return { kind: 'undone', restored, merged, notRemoved }
  } catch (error) {
    return {
      kind: 'failed',
      detail: error instanceof Error ? error.message : 'something failed',
      restored: [...restored, ...merged],
    }
  }
}

async function workOf(file: BackedUp, folder: string, key: KeyObject, files: Files): Promise<Work> {
  const original = await readBackup(folder, file.backup, key)
  if (digestOf(original) !== file.before)
    throw new Error(`the backup of \`${file.path}\` is not what the manifest says`)
  const read = await files.read(file.target, null)
  if (read.kind === 'unfit') throw new Error(`\`${file.path}\`: ${read.why}`)
  const snapshot = read.kind === 'file' ? read.file : null
  const edited = snapshot !== null && snapshot.digest !== file.after && snapshot.digest !== file.before
  return { file, snapshot, original, edited: edited || snapshot === null }
}

async function putBack({ file, snapshot }: Work, bytes: Uint8Array, files: Files): Promise<void> {
  const { mode, uid, gid } = file
  if (snapshot !== null) return files.replace({ ...snapshot, mode, uid, gid }, bytes)
  // It was deleted: an empty file takes its place first, so that there is one way of writing.
  await mkdir(dirname(file.target), { recursive: true })
  await (await open(file.target, 'wx', 0o600)).close()
  await files.replace({ target: file.target, digest: digestOf(''), mode, uid, gid }, bytes)
}

/** The edited text with the old servers where they were; null when one of them is gone or either cannot be read. */
function merge({ file, snapshot, original }: Work): Uint8Array | null {
  if (snapshot === null) return null
  const [now, then] = [partsOf(snapshot.bytes), partsOf(original)]
  if (now === null || then === null) return null
  const edits = file.entries.map((at) => {
    const [here, old] = [findNodeAtLocation(now.root, at), findNodeAtLocation(then.root, at)]
    if (here === undefined || old === undefined) return null
    return {
      offset: here.offset,
      length: here.length,
      content: then.body.slice(old.offset, old.offset + old.length),
    }
  })
  if (edits.some((edit) => edit === null)) return null
  const sorted = edits.flatMap((edit) => edit ?? []).sort((a, b) => a.offset - b.offset)
  return Buffer.from(now.lead + applyEdits(now.body, sorted), 'utf8')
}

function partsOf(
  bytes: Uint8Array,
): { readonly lead: string; readonly body: string; readonly root: Node } | null {
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)
  const tree = treeOf(text)
  if ('problem' in tree) return null
  const lead = text.startsWith(bom) ? bom : ''
  return { lead, body: text.slice(lead.length), root: tree.root }
}

async function keepEdited(folder: string, name: string, bytes: Uint8Array, key: KeyObject): Promise<void> {
  const kept = name.replace('.sealed', '.edited.sealed')
  await rm(`${folder}/${kept}`, { force: true })
  await writeBackup(folder, kept, bytes, key)
}

/** Servers and secrets that adopt made go again; agents stay, as a name once given may stand in the log. */
async function unregister(
  manifest: { readonly servers: readonly string[]; readonly secrets: readonly string[] },
  ports: Pick<AdoptPorts, 'removeServer' | 'removeSecret'>,
): Promise<readonly string[]> {
  const notRemoved: string[] = []
  for (const name of manifest.servers)
    if (!(await ports.removeServer(name)).ok) notRemoved.push(`server ${name}`)
  for (const name of manifest.secrets)
    if (!(await ports.removeSecret(name)).ok) notRemoved.push(`secret ${name}`)
  return notRemoved
}

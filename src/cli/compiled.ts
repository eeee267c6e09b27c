import { enableCompileCache } from 'node:module'
import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { lstatSync, mkdirSync } from 'node:fs'

/**
 * Keeps what Node compiles for the next start, which then takes a third of the time and 20 MB less. Whoever can write
 * there decides what runs here: so it lies in a folder of this very user that nobody else can write to, never in the
 * shared temporary folder that Node itself would take. Where there is none such, nothing is kept.
 */
export function keepCompiled(): void {
  const folder = ownFolder(process.env['XDG_CACHE_HOME'])
  if (folder !== null) enableCompileCache(folder)
}

function ownFolder(cacheHome: string | undefined): string | null {
  const base = cacheHome !== undefined && isAbsolute(cacheHome) ? cacheHome : join(homedir(), '.cache')
  const folder = join(base, 'countersign', 'compiled')
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const folders = [folder, join(base, 'countersign')]
    return folders.every(isOwn) ? folder : null
  } catch {
    return null
  }
}

/** A folder, no link, that belongs to this user and that others cannot write to. Where that cannot be told, it is not. */
function isOwn(folder: string): boolean {
  const { uid, mode } = lstatSync(folder)
  const mine = process.getuid?.()
  return mine !== undefined && uid === mine && (mode & 0o170_022) === 0o040_000
}

import { basename, join } from 'node:path'
import { readdir, readFile, stat } from 'node:fs/promises'
import { exitCodes, Failure, visible } from './output.ts'
import { readStarter, starters } from '../policy/starter.ts'
import { text, type Invocation } from './command.ts'
import type { Source } from '../policy/parse.ts'

/** The policy set that words or `--starter` name; null when neither does. */
export async function namedSources(
  paths: readonly string[],
  flags: Invocation['flags'],
): Promise<readonly Source[] | null> {
  const starter = text(flags, 'starter')
  if (starter !== undefined) {
    const known = starters.find((name) => name === starter)
    if (known === undefined)
      throw new Failure(
        `expected one of ${starters.join(', ')}`,
        'countersign policy swap --starter guarded',
        exitCodes.usage,
      )
    return readStarter(known)
  }
  return paths.length === 0 ? null : policySources(paths)
}

/** Files, and the `.cedar` files of folders, each by its own name. */
export async function policySources(paths: readonly string[]): Promise<readonly Source[]> {
  const files = (await Promise.all(paths.map(cedarFiles))).flat()
  return Promise.all(
    files.map(async (path) => ({ name: basename(path), text: await readFile(path, 'utf8') })),
  )
}

async function cedarFiles(path: string): Promise<readonly string[]> {
  if (!(await stat(path)).isDirectory()) {
    if (path.endsWith('.cedar')) return [path]
    throw new Failure(
      `expected a file that ends with \`.cedar\`, found \`${visible(path)}\``,
      'countersign policy check policies/',
      exitCodes.usage,
    )
  }
  const found = (await readdir(path)).filter((name) => name.endsWith('.cedar')).sort()
  if (found.length === 0)
    throw new Failure(
      `there is no \`.cedar\` file in \`${visible(path)}\``,
      'countersign policy check policies/',
    )
  return found.map((name) => join(path, name))
}

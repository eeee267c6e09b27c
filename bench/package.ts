import { cp, mkdtemp, rm, symlink } from 'node:fs/promises'
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { tmpdir } from 'node:os'

const root = fileURLToPath(new URL('..', import.meta.url))

/**
 * The program as it is shipped: JavaScript, built into a folder of its own. From its sources Node would load a compiler
 * first, which takes time and 25 MB that nobody who installed the package pays.
 */
export async function buildPackage(): Promise<{ readonly main: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-package-'))
  const compiler = join(root, 'node_modules', '.bin', 'tsc')
  const options = ['--outDir', join(folder, 'dist'), '--declaration', 'false', '--sourceMap', 'false']
  await promisify(execFile)(compiler, ['-p', join(root, 'tsconfig.build.json'), ...options])
  for (const name of ['package.json', 'policies'])
    await cp(join(root, name), join(folder, name), { recursive: true })
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
  return {
    main: join(folder, 'dist', 'cli', 'main.js'),
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}

import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { readFile } from 'node:fs/promises'

/** Programs that are no dependencies of ours, installed by their own package managers for one run. */

const execute = promisify(execFile)
const installMs = 300_000

export type Installed = { readonly versions: { readonly [name: string]: string } }
export type Missing = { readonly missing: string }

const why = (problem: unknown): string =>
  problem instanceof Error ? (problem.message.split('\n')[0] ?? '').slice(0, 200) : 'unknown'

const inspector = '@modelcontextprotocol/inspector'

/** MCP Inspector; `program` is what Node runs. */
export async function installInspector(
  folder: string,
): Promise<(Installed & { readonly program: string }) | Missing> {
  try {
    const args = ['install', '--prefix', folder, '--no-audit', '--no-fund', '--loglevel', 'error', inspector]
    await execute('npm', args, { timeout: installMs, cwd: folder })
    const home = join(folder, 'node_modules', inspector)
    const { version }: { version: string } = JSON.parse(await readFile(join(home, 'package.json'), 'utf8'))
    return {
      program: join(home, 'clients/launcher/build/index.js'),
      versions: { [inspector]: version },
    }
  } catch (problem) {
    return { missing: `\`npm install ${inspector}\` failed: ${why(problem)}` }
  }
}

const firstPage =
  'import readabilipy.simple_json as s; s.simple_json_from_html_string("<p>a page</p>", use_readability=True)'

export const pythonServers = ['mcp-server-git', 'mcp-server-fetch', 'mcp-server-time'] as const

/** The reference servers in Python; `bin` is the folder of their programs. */
export async function installPython(
  folder: string,
): Promise<(Installed & { readonly bin: string }) | Missing> {
  const bin = join(folder, process.platform === 'win32' ? 'Scripts' : 'bin')
  try {
    await execute('python3', ['-m', 'venv', folder], { timeout: installMs })
    const pip = (...args: string[]) =>
      execute(join(bin, 'python'), ['-m', 'pip', '--disable-pip-version-check', ...args], {
        timeout: installMs,
      })
    await pip('install', '--quiet', ...pythonServers)
    // On its first page the fetching server installs a program of its own, and says so where its answers belong.
    await execute(join(bin, 'python'), ['-c', firstPage], { timeout: installMs })
    const { stdout } = await pip('list', '--format', 'json')
    const listed: unknown = JSON.parse(stdout)
    const packages: readonly { name: string; version: string }[] = Array.isArray(listed) ? listed : []
    const wanted = packages.filter(({ name }) => [...pythonServers, 'mcp'].includes(name))
    return {
      bin,
      versions: Object.fromEntries(wanted.map(({ name, version }) => [`${name} (PyPI)`, version])),
    }
  } catch (problem) {
    return { missing: `the Python servers could not be installed: ${why(problem)}` }
  }
}

import { mkdir, writeFile } from 'node:fs/promises'
import { loadConfig } from '../../src/config/load.ts'
import { resolve } from 'node:path'
import { serve } from '../../src/cli/serve.ts'
import { startPlayground } from '../servers/playground.ts'

/** `npm start`: the broker on its embedded store with three real servers behind it. Ctrl-C ends all of it. */

const root = resolve(import.meta.dirname, '../..')
const files = resolve(root, 'quickstart-files')
await mkdir(files, { recursive: true })
await writeFile(resolve(files, 'welcome.txt'), 'This folder is behind the broker.\n', { flag: 'wx' }).catch(
  () => undefined,
)

const playground = await startPlayground({ port: 7318 })
const abort = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => abort.abort())
try {
  process.exitCode = await serve({
    loaded: loadConfig(resolve(import.meta.dirname, 'countersign.jsonc')),
    terminal: {
      out: (text) => void process.stdout.write(text),
      err: (text) => void process.stderr.write(text),
      json: process.argv.includes('--json'),
      colour: process.stderr.isTTY && process.env['NO_COLOR'] === undefined,
      interactive: process.stdin.isTTY && process.stderr.isTTY,
    },
    signal: abort.signal,
  })
} finally {
  await playground.close()
}

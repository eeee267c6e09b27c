import { mkdir, writeFile } from 'node:fs/promises'
import { Failure, type ExitCode, type Terminal } from '../../src/cli/output.ts'
import { failed } from '../../src/cli/main.ts'
import { loadConfig } from '../../src/config/load.ts'
import { resolve } from 'node:path'
import { serve } from '../../src/cli/serve.ts'
import { startPlayground } from '../servers/playground.ts'

/** `npm start`: the broker on its embedded store with three real servers behind it. Ctrl-C ends all of it. */

const root = resolve(import.meta.dirname, '../..')
const playgroundPort = 7318

async function start(terminal: Terminal, signal: AbortSignal): Promise<ExitCode> {
  const files = resolve(root, 'quickstart-files')
  await mkdir(files, { recursive: true })
  const welcome = 'This folder is behind the broker.\n'
  await writeFile(resolve(files, 'welcome.txt'), welcome, { flag: 'wx' }).catch(() => undefined)
  const playground = await startPlayground({ port: playgroundPort }).catch(() => {
    throw new Failure(
      `the playground cannot listen on 127.0.0.1:${playgroundPort}`,
      'another `npm start` may be running; end it with Ctrl-C there',
    )
  })
  try {
    const loaded = loadConfig(resolve(import.meta.dirname, 'countersign.jsonc'))
    return await serve({ loaded, terminal, signal })
  } finally {
    await playground.close()
  }
}

const terminal: Terminal = {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  json: process.argv.includes('--json'),
  colour: process.stderr.isTTY && process.env['NO_COLOR'] === undefined,
  interactive: process.stdin.isTTY && process.stderr.isTTY,
}
const abort = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => abort.abort())
process.exitCode = await start(terminal, abort.signal).catch((problem: unknown) => failed(terminal, problem))

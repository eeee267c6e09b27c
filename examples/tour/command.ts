import { join } from 'node:path'
import { spawn } from 'node:child_process'
import { checkout } from './scene.ts'

/** Runs `countersign` as a person does, in a process of its own. */
export async function countersign(
  words: readonly string[],
): Promise<{ readonly exit: number | null; readonly out: string; readonly err: string }> {
  const main = join(checkout, 'src/cli/main.ts')
  const child = spawn(process.execPath, [main, ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 20_000,
  })
  const said = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said.out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said.err += text))
  const exit = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  return { exit, ...said }
}

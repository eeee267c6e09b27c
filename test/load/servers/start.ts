import { once } from 'node:events'
import { resolve } from 'node:path'
import { spawn } from 'node:child_process'

const script = resolve(import.meta.dirname, 'odd.ts')

/** The configuration of the odd server as a program. */
export const oddProgram = { command: process.execPath, args: [script] }

/** The odd server over HTTP, in a process of its own: what it holds is not counted as the broker's. */
export async function startOdd(): Promise<{ readonly url: string; close(): Promise<void> }> {
  const child = spawn(process.execPath, [script, '--http'], { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = once(child, 'exit')
  const [line] = await once(child.stdout, 'data')
  return {
    url: String(line).trim(),
    async close() {
      child.stdin.end()
      const cut = setTimeout(() => child.kill('SIGKILL'), 2_000)
      await ended
      clearTimeout(cut)
    },
  }
}

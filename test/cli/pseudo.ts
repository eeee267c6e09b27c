import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { resolve } from 'node:path'

/** util-linux `script` gives a command a pseudo-terminal of its own. */
const asked = spawnSync('script', ['--version'], { encoding: 'utf8' })
export const hasScript = asked.status === 0 && asked.stdout.includes('util-linux')

const main = resolve(import.meta.dirname, '../../src/cli/main.ts')

/** A command at a terminal that shows what is typed, with a person who types and looks. */
export function atTerminal(args: readonly string[], home: string) {
  const words = [process.execPath, main, ...args]
    .map((word) => `'${word.replaceAll("'", `'\\''`)}'`)
    .join(' ')
  const line = `was=$(stty -g); ${words}; echo "code=$?"; [ "$was" = "$(stty -g)" ] && echo same || echo other`
  const child = spawn('script', ['-qefc', line, '-E', 'always', '/dev/null'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, HOME: home, NO_COLOR: '1', SHELL: '/bin/sh' },
  })
  let screen = ''
  let seen = 0
  child.stdout.setEncoding('utf8').on('data', (text: string) => void (screen += text))
  let isOver = false
  const ended = new Promise<void>((done) => child.once('close', () => done()))
  void ended.then(() => (isOver = true))
  return {
    screen: () => screen,
    type: (keys: string) => void child.stdin.write(keys),
    /** Waits for what is not on the screen yet. */
    async sees(pattern: RegExp): Promise<RegExpExecArray> {
      const until = Date.now() + 30_000
      for (let last = false; !last && Date.now() < until;) {
        last = isOver
        const found = pattern.exec(screen.slice(seen))
        if (found !== null) {
          seen += found.index + found[0].length
          return found
        }
        await new Promise((after) => setTimeout(after, 20))
      }
      return assert.fail(`did not see ${String(pattern)} in\n${screen.slice(seen)}`)
    },
    /** The command's exit code, and whether its terminal is as it was. */
    async leaves(): Promise<{ readonly code: number; readonly restored: boolean }> {
      const code = Number((await this.sees(/code=(\d+)/))[1])
      const restored = (await this.sees(/same|other/))[0] === 'same'
      child.stdin.end()
      await ended
      return { code, restored }
    },
    kill: () => void child.kill('SIGKILL'),
  }
}

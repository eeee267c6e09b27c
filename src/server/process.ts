import { spawn, type ChildProcess } from 'node:child_process'
import { splitLines } from './lines.ts'

export type ProcessOptions = {
  readonly command: string
  readonly args: readonly string[]
  readonly cwd: string | null
  /** The whole environment of the process. */
  readonly environment: { readonly [name: string]: string }
  readonly maxLineBytes: number
  readonly graceMs: number
  readonly onLine: (line: Buffer) => void
  readonly onOverflow: (discarded: number) => void
  /** Once, when nothing more will come. `how` is in words, for people. */
  readonly onEnd: (how: string) => void
}

export type ServerProcess = {
  readonly pid: number | null
  /** False: nothing was written, because it has ended or does not read what it was sent before. */
  write(line: string): boolean
  alive(): boolean
  /** In the middle of a line that is too long. */
  isOverflowing(): boolean
  /** Reads nothing of it for so many milliseconds: what it writes meanwhile waits in its own pipe. */
  rest(ms: number): void
  /** The last that it wrote to stderr: for the operator's diagnosis, never for an agent. */
  stderr(): string
  /** Ends it and its children. Idempotent; resolves when the process is gone. */
  kill(): Promise<void>
}

const stderrBytes = 16 * 1024
const maxUnreadBytes = 8 * 1024 * 1024
/** How long the pipes may take to drain after the process has gone; a child that holds them does not hold us. */
const drainMs = 200

/**
 * Starts a server's program, without a shell, as leader of its own process group: what it starts dies with it. If the
 * broker itself is killed outright, the closed stdin is what ends the server (MCP, stdio transport, shutdown).
 */
export function startProcess(options: ProcessOptions): ServerProcess {
  const child = spawn(options.command, [...options.args], {
    shell: false,
    detached: process.platform !== 'win32',
    windowsHide: true,
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...options.environment },
    ...(options.cwd === null ? {} : { cwd: options.cwd }),
  })
  const tail = keepTail(stderrBytes)
  const lines = splitLines({
    limit: options.maxLineBytes,
    onLine: options.onLine,
    onOverflow: options.onOverflow,
  })
  child.stdout.on('data', (chunk: Buffer) => lines.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => tail.push(chunk))
  // A pipe that breaks is seen as the end of the process; unheard, it would bring the broker down.
  for (const stream of [child.stdin, child.stdout, child.stderr]) stream.on('error', () => {})

  let ended = false
  const gone = new Promise<void>((resolve) => {
    whenEnded(child, (how) => {
      ended = true
      options.onEnd(how)
      resolve()
    })
  })
  return {
    pid: child.pid ?? null,
    write(line) {
      if (ended || child.exitCode !== null || child.signalCode !== null || !child.stdin.writable) return false
      if (child.stdin.writableLength > maxUnreadBytes) return false
      child.stdin.write(`${line}\n`)
      return true
    },
    alive: () => !ended && child.exitCode === null && child.signalCode === null && child.pid !== undefined,
    stderr: () => tail.text(),
    isOverflowing: () => lines.isDiscarding(),
    rest(ms) {
      if (child.stdout.isPaused()) return
      child.stdout.pause()
      setTimeout(() => child.stdout.resume(), ms).unref()
    },
    async kill() {
      if (ended) return
      child.stdin.end()
      signalGroup(child, 'SIGTERM')
      const timer = setTimeout(() => signalGroup(child, 'SIGKILL'), options.graceMs)
      await gone
      clearTimeout(timer)
    },
  }
}

function whenEnded(child: ChildProcess, end: (how: string) => void): void {
  let done = false
  const once = (how: string) => {
    if (done) return
    done = true
    for (const stream of [child.stdout, child.stderr, child.stdin]) stream?.destroy()
    end(how)
  }
  child.once('error', (error: NodeJS.ErrnoException) => {
    // `error` also tells of signals that could not be sent; only a failed start is an end.
    if (child.pid === undefined) once(`it could not be started (${error.code ?? 'unknown error'})`)
  })
  child.once('exit', (code, signal) => {
    // Its children would go on with its pipes and, perhaps, its lent secrets.
    signalGroup(child, 'SIGKILL')
    const how = signal === null ? `it ended with exit code ${code ?? 'unknown'}` : `it was ended by ${signal}`
    const timer = setTimeout(once, drainMs, how)
    child.once('close', () => {
      clearTimeout(timer)
      once(how)
    })
  })
}

/** POSIX: the whole group. Windows has no groups: there the tree is ended by `taskkill`. */
function signalGroup(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): void {
  if (child.pid === undefined) return
  if (process.platform === 'win32') {
    spawn('taskkill', ['/pid', String(child.pid), '/T', '/F'], { windowsHide: true, stdio: 'ignore' }).on(
      'error',
      () => child.kill(signal),
    )
    return
  }
  try {
    process.kill(-child.pid, signal)
  } catch {
    // ESRCH: nothing of the group is left.
  }
}

/** Moves what it keeps once in `limit` bytes, not with each piece: a server may write byte by byte. */
function keepTail(limit: number): { push(chunk: Buffer): void; text(): string } {
  let kept: Buffer = Buffer.alloc(0)
  let size = 0
  return {
    push(chunk) {
      if (kept.length === 0) kept = Buffer.alloc(limit * 2)
      const tail = chunk.subarray(Math.max(0, chunk.length - limit))
      if (size + tail.length > kept.length) {
        kept.copyWithin(0, size - limit, size)
        size = limit
      }
      kept.set(tail, size)
      size += tail.length
    },
    text: () => kept.toString('utf8', Math.max(0, size - limit), size),
  }
}

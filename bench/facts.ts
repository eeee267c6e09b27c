import { cpus, totalmem, release, loadavg } from 'node:os'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** What the machine is and how busy it was before anything began: figures without it mean nothing. */
export async function facts() {
  const commit = await run('git', ['rev-parse', '--short', 'HEAD']).then(
    ({ stdout }) => stdout.trim(),
    () => null,
  )
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memory_gb: Math.round(totalmem() / 1e9),
    kernel: release(),
    node: process.version,
    load_before: Number((loadavg()[0] ?? 0).toFixed(2)),
    commit,
    at: new Date().toISOString(),
  }
}

import { connect } from '../../src/cli/connect.ts'

/** What the command line does for `countersign connect`. */
const [, , home = '', agent = ''] = process.argv
const stop = new AbortController()
for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort())
process.exitCode = await connect({
  agent,
  home,
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  signal: stop.signal,
})

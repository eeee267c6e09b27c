import { connect } from './connect.ts'
import { exitCodes, Failure } from './output.ts'
import { text, type Command } from './command.ts'

export const connectCommand: Command = {
  usage: ['connect --agent NAME [--server NAME]'],
  options: { agent: { type: 'string' }, server: { type: 'string' } },
  words: 0,
  heedsSignal: true,
  async run({ flags, home, signal }) {
    const agent = text(flags, 'agent')
    if (agent === undefined)
      throw new Failure('expected `--agent NAME`', 'countersign agent list', exitCodes.usage)
    const server = text(flags, 'server')
    return connect({
      agent,
      home,
      ...(server === undefined ? {} : { server }),
      stdin: process.stdin,
      stdout: process.stdout,
      stderr: process.stderr,
      signal,
    })
  },
}

import { connect } from './connect.ts'
import { agentsUrl } from './url.ts'
import { exitCodes, Failure } from './output.ts'
import { text, type Command } from './command.ts'

export const connectCommand: Command = {
  usage: ['connect --agent NAME [--server NAME] [--url URL]     URL: of a broker that runs elsewhere'],
  options: { agent: { type: 'string' }, server: { type: 'string' }, url: { type: 'string' } },
  words: 0,
  heedsSignal: true,
  async run({ flags, home, signal }) {
    const agent = text(flags, 'agent')
    if (agent === undefined)
      throw new Failure('expected `--agent NAME`', 'countersign agent list', exitCodes.usage)
    const server = text(flags, 'server')
    const url = agentsUrl(flags)
    return connect({
      agent,
      home,
      ...(url === undefined ? {} : { url }),
      ...(server === undefined ? {} : { server }),
      stdin: process.stdin,
      stdout: process.stdout,
      stderr: process.stderr,
      signal,
    })
  },
}

import { agentsUrl } from './url.ts'
import { createAccesses } from './bridge/access.ts'
import { exitCodes, Failure, print } from './output.ts'
import { loadAgentKey } from '../identity/key.ts'
import { readRunFile } from './run.ts'
import { text, type Command } from './command.ts'

export const tokenCommand: Command = {
  usage: [
    "token --agent NAME [--url URL]     opens the agent's default task and prints an access token for it",
  ],
  options: { agent: { type: 'string' }, url: { type: 'string' } },
  words: 0,
  async run({ flags, home, terminal }) {
    const agent = text(flags, 'agent')
    if (agent === undefined)
      throw new Failure('expected `--agent NAME`', 'countersign agent list', exitCodes.usage)
    const key = await loadAgentKey(home, agent)
    const agents = agentsUrl(flags) ?? (await readRunFile(home)).agents
    const access = await createAccesses({ agent, key, base: async () => agents }).get()
    print(terminal, { token: access.token, endpoint: `${agents}/mcp` }, () => [access.token])
    return exitCodes.done
  },
}

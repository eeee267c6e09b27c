import { exitCodes, Failure } from './output.ts'
import { publicUrlProblem } from '../config/url.ts'
import { text, type Flags } from './command.ts'

/**
 * `--url`: the agents' listener of a broker elsewhere, exactly as its `listen.agentsUrl` names it, because the proof of
 * the agent's key names it, too. The environment may name it where many agents are started alike.
 */
export function agentsUrl(flags: Flags): string | undefined {
  const url = text(flags, 'url') ?? process.env['COUNTERSIGN_URL']
  if (url === undefined || url === '') return undefined
  const problem = publicUrlProblem(url)
  if (problem !== null) throw new Failure(problem, '--url https://tools.example.com', exitCodes.usage)
  return url
}

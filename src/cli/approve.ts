import { exitCodes, Failure, print, visible } from './output.ts'
import { objects, say } from './agent.ts'
import { text, type Command, type Invocation } from './command.ts'
import { isJsonObject, type JsonObject } from '../lib/json.ts'

export const approveCommand: Command = {
  usage: [
    'approve [list]             shows what waits',
    'approve ID                 shows it, asks for your passphrase, approves it once',
    'approve ID --refuse [--reason TEXT]',
  ],
  options: { refuse: { type: 'boolean' }, reason: { type: 'string' } },
  words: 1,
  async run(invocation) {
    const [id] = invocation.words
    const api = await invocation.operators()
    const { terminal } = invocation
    if (id === undefined || id === 'list') {
      const answer = await api.get('/v1/asks', { state: 'pending' })
      print(terminal, answer, () => {
        const lines = objects(answer['asks']).flatMap((ask) => [...linesOf(ask), ''])
        return lines.length === 0 ? ['nothing waits'] : lines
      })
      return exitCodes.done
    }
    const answer = await give(invocation, id, await api.get(`/v1/asks/${encodeURIComponent(id)}`))
    print(terminal, answer, () => [answeredLine(answer, id)])
    return exitCodes.done
  },
}

function answeredLine(ask: JsonObject, id: string): string {
  const { state, requirement, answers } = ask
  if (state !== 'pending' || !isJsonObject(requirement)) return `${say(state)} ${id}`
  return `counted for ${id}; ${Number(requirement['count']) - objects(answers).length} more needed, by other people`
}

/** What is approved is what was shown: the answer carries the digest of it. */
async function give(invocation: Invocation, id: string, ask: JsonObject): Promise<JsonObject> {
  const api = await invocation.operators()
  const path = `/v1/asks/${encodeURIComponent(id)}/answer`
  const body = { digest: say(ask['digest']), reason: text(invocation.flags, 'reason') ?? '' }
  if (invocation.flags['refuse'] === true) return api.send('POST', path, { ...body, answer: 'refuse' })
  if (ask['state'] !== 'pending') {
    throw new Failure(`this ask is ${say(ask['state'])} already`, 'countersign approve', exitCodes.denied)
  }
  for (const line of linesOf(ask)) invocation.terminal.err(`${line}\n`)
  return invocation.proven((proof) => api.send('POST', path, { ...body, answer: 'approve' }, proof))
}

const linesOf = (ask: JsonObject): readonly string[] =>
  Array.isArray(ask['lines'])
    ? ask['lines'].filter((line): line is string => typeof line === 'string').map((line) => visible(line))
    : []

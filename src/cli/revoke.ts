import { exitCodes, Failure, print, table, visible } from './output.ts'
import { objects, say } from './agent.ts'
import { text, type Command } from './command.ts'

export const revokeCommand: Command = {
  usage: [
    'revoke KEY [--reason TEXT]   KEY: all, agent:NAME, person:NAME, task:ID, tool:ID, server:NAME, secret:NAME, token:JTI',
    'revoke list',
    'revoke lift KEY [--reason TEXT]',
  ],
  options: { reason: { type: 'string' } },
  words: 2,
  async run(invocation) {
    const [verb, key] = invocation.words
    const { terminal } = invocation
    const api = await invocation.operators()
    const reason = text(invocation.flags, 'reason') ?? 'by an operator'
    if (verb === undefined)
      throw new Failure('expected what to revoke', 'countersign revoke agent:NAME', exitCodes.usage)
    if (verb === 'list') {
      const answer = await api.get('/v1/revocations')
      const rows = objects(answer['revocations']).map((one) =>
        ['key', 'at', 'by', 'reason'].map((name) => visible(say(one[name]))),
      )
      const header = ['KEY', 'SINCE', 'BY', 'REASON']
      print(terminal, answer, () => (rows.length === 0 ? ['nothing is revoked'] : table([header, ...rows])))
      return exitCodes.done
    }
    if (verb === 'lift') {
      if (key === undefined)
        throw new Failure('expected what to lift', 'countersign revoke list', exitCodes.usage)
      const answer = await invocation.proven((proof) =>
        api.send('DELETE', `/v1/revocations/${encodeURIComponent(key)}`, { reason }, proof),
      )
      print(terminal, answer, () => [`lifted ${key}`])
      return exitCodes.done
    }
    const answer = await api.send('POST', '/v1/revocations', { key: verb, reason })
    print(terminal, answer, () => [`revoked ${verb}; calls in flight were aborted`])
    return exitCodes.done
  },
}

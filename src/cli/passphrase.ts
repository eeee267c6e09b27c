import { exitCodes, Failure, print } from './output.ts'
import { isJsonObject } from '../lib/json.ts'
import { text, type Command } from './command.ts'

export const passphraseCommand: Command = {
  usage: [
    'passphrase [--operator NAME]   sets it; asks for the old one when there is one',
    'the first one while the broker runs: press p in its terminal',
  ],
  options: { operator: { type: 'string' } },
  words: 0,
  async run(invocation) {
    const api = await invocation.operators()
    const status = await api.get('/v1/status')
    const name = text(invocation.flags, 'operator') ?? String(status['operator'])
    const level = isJsonObject(status['you']) ? status['you']['level'] : undefined
    // Whoever reads the operator key is no person yet, so a first passphrase from here would prove nobody.
    if (status['passphraseSet'] === false && level === 'present')
      throw new Failure(
        'the first passphrase is set where the broker runs',
        'press p in the terminal that runs the broker',
        exitCodes.denied,
      )
    const passphrase = await invocation.secretly('new passphrase: ')
    if (passphrase !== (await invocation.secretly('once more: ')))
      throw new Failure('the two are not the same', 'countersign passphrase')
    const path = `/v1/operators/${encodeURIComponent(name)}/passphrase`
    const answer = await invocation.proven((proof) => api.send('PUT', path, { passphrase }, proof))
    print(invocation.terminal, answer, () => [`${name} can now approve with this passphrase`])
    return exitCodes.done
  },
}

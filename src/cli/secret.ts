import { exitCodes, Failure, print, table } from './output.ts'
import { objects, say } from './agent.ts'
import type { Command } from './command.ts'

export const secretCommand: Command = {
  usage: [
    'secret list',
    'secret set NAME            asks for the value; it is not shown',
    'secret remove NAME',
  ],
  options: {},
  words: 2,
  async run(invocation) {
    const [verb = 'list', name] = invocation.words
    const { terminal } = invocation
    const api = await invocation.operators()
    if (verb === 'list') {
      const answer = await api.get('/v1/secrets')
      print(terminal, answer, () => {
        const rows = objects(answer['secrets']).map((one) => [say(one['name']), say(one['setAt'])])
        return rows.length === 0 ? ['no secret is sealed'] : table([['SECRET', 'SET'], ...rows])
      })
      return exitCodes.done
    }
    if (name === undefined)
      throw new Failure(`expected a name: secret ${verb} NAME`, 'countersign secret --help', exitCodes.usage)
    const path = `/v1/secrets/${encodeURIComponent(name)}`
    if (verb === 'set') {
      const value = terminal.interactive ? await invocation.secretly(`value of ${name}: `) : await piped()
      const answer = await invocation.proven((proof) => api.send('PUT', path, { value }, proof))
      print(terminal, answer, () => [`sealed ${name}`])
      return exitCodes.done
    }
    if (verb !== 'remove')
      throw new Failure(`there is no \`secret ${verb}\``, 'countersign secret --help', exitCodes.usage)
    const answer = await invocation.proven((proof) => api.send('DELETE', path, {}, proof))
    print(terminal, answer, () => [`removed ${name}`])
    return exitCodes.done
  },
}

/** `countersign secret set NAME < file`: one value, without the line's end. */
async function piped(): Promise<string> {
  // Reading a terminal like a file would show what is typed.
  if (process.stdin.isTTY)
    throw new Failure(
      'the question cannot be asked without a terminal for it',
      'leave stderr on the terminal',
    )
  let text = ''
  for await (const chunk of process.stdin) {
    text += String(chunk)
    if (text.length > 64 * 1024)
      throw new Failure('expected a value of at most 64 KiB', 'countersign secret set NAME')
  }
  const value = text.replace(/\r?\n$/, '')
  if (value === '')
    throw new Failure('expected a value on stdin', 'countersign secret set NAME < FILE', exitCodes.usage)
  return value
}

import { exitCodes, Failure, print } from './output.ts'
import { say } from './agent.ts'
import { text, type Command } from './command.ts'
import { wantedCall } from './call.ts'

export const explainCommand: Command = {
  usage: ["explain SERVER/NAME ['{\"argument\": …}'] --task ID [--operation call|read|get|complete]"],
  options: { operation: { type: 'string' }, task: { type: 'string' } },
  async run(invocation) {
    const api = await invocation.operators()
    if (text(invocation.flags, 'task') === undefined) throw new Failure('expected `--task ID`', 'countersign task list --state open', exitCodes.usage)
    const answer = await api.send('POST', '/v1/explain', wantedCall(invocation.words, invocation.flags))
    print(invocation.terminal, answer, () => Object.entries(answer).map(([name, value]) => `${name.padEnd(12)} ${say(value)}`))
    return exitCodes.done
  },
}

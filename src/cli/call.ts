import { exitCodes, Failure, print, progress } from './output.ts'
import { isJsonObject, type JsonObject } from '../lib/json.ts'
import { parseIJson } from '../lib/ijson.ts'
import { say } from './agent.ts'
import { text, type Command } from './command.ts'

/** `SERVER/NAME` and arguments as JSON: how `call` and `explain` name a call. */
export function wantedCall(words: readonly string[], flags: Parameters<typeof text>[0]): JsonObject {
  const [tool, args = '{}'] = words
  const at = tool?.indexOf('/') ?? -1
  if (tool === undefined || at < 1) throw new Failure('expected SERVER/NAME', 'countersign server tools', exitCodes.usage)
  const parsed = parseIJson(args)
  if (!parsed.ok || !isJsonObject(parsed.value)) {
    const why = parsed.ok ? 'another value' : `${parsed.problem} at ${parsed.at}`
    throw new Failure(`expected the arguments as a JSON object, found ${why}`, `countersign call ${tool} '{"name": "value"}'`, exitCodes.usage)
  }
  const operation = text(flags, 'operation')
  const task = text(flags, 'task')
  return {
    server: tool.slice(0, at),
    name: tool.slice(at + 1),
    arguments: parsed.value,
    ...(operation === undefined ? {} : { operation }),
    ...(task === undefined ? {} : { task }),
  }
}

export const callCommand: Command = {
  usage: ["call SERVER/NAME ['{\"argument\": …}'] [--operation call|read|get|complete] [--purpose CLASS] [--words TEXT] [--task ID]"],
  options: { operation: { type: 'string' }, purpose: { type: 'string' }, words: { type: 'string' }, task: { type: 'string' } },
  async run(invocation) {
    const api = await invocation.operators()
    const { flags, terminal } = invocation
    const purpose = text(flags, 'purpose')
    const words = text(flags, 'words')
    const body = { ...wantedCall(invocation.words, flags), ...(purpose ? { purpose } : {}), ...(words ? { words } : {}) }
    const done = progress(terminal, 'calling')
    const answer = await invocation.proven((proof) => api.send('POST', '/v1/calls', body, proof)).finally(done)
    print(terminal, answer, () => Object.entries(answer).map(([name, value]) => `${name.padEnd(10)} ${say(value)}`))
    return answer['refused'] === true || answer['code'] !== undefined ? exitCodes.denied : exitCodes.done
  },
}

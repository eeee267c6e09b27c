import { exitCodes, Failure, print, progress, visible } from './output.ts'
import { isJsonObject, type JsonObject } from '../lib/json.ts'
import { parseIJson } from '../lib/ijson.ts'
import { objects, say } from './agent.ts'
import { text, type Command } from './command.ts'

/** `SERVER/NAME` and arguments as JSON: how `call` and `explain` name a call. */
export function wantedCall(words: readonly string[], flags: Parameters<typeof text>[0]): JsonObject {
  const [tool, args = '{}'] = words
  const at = tool?.indexOf('/') ?? -1
  if (tool === undefined || at < 1)
    throw new Failure('expected SERVER/NAME', 'countersign server tools', exitCodes.usage)
  const parsed = parseIJson(args)
  if (!parsed.ok || !isJsonObject(parsed.value)) {
    const why = parsed.ok ? 'another value' : `${parsed.problem} at ${parsed.at}`
    throw new Failure(
      `expected the arguments as a JSON object, found ${why}`,
      `countersign call ${tool} '{"name": "value"}'`,
      exitCodes.usage,
    )
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
  usage: [
    'call SERVER/NAME [\'{"argument": …}\'] [--operation call|read|get|complete] [--purpose CLASS] [--words TEXT] [--task ID]',
  ],
  options: {
    operation: { type: 'string' },
    purpose: { type: 'string' },
    words: { type: 'string' },
    task: { type: 'string' },
  },
  words: 2,
  async run(invocation) {
    const { flags, terminal } = invocation
    const purpose = text(flags, 'purpose')
    const words = text(flags, 'words')
    const wanted = wantedCall(invocation.words, flags)
    const body = { ...wanted, ...(purpose ? { purpose } : {}), ...(words ? { words } : {}) }
    const api = await invocation.operators()
    const done = progress(terminal, 'calling')
    const answer = await invocation
      .proven((proof) => api.send('POST', '/v1/calls', body, proof))
      .finally(done)
    const { end, outcome } = answer
    if (end !== 'settled' && !terminal.json) {
      for (const line of endLines(answer)) terminal.err(`${line}\n`)
    } else print(terminal, answer, () => answerLines(answer))
    if (end !== 'settled') return exitCodes.denied
    return outcome === 'ok' ? exitCodes.done : exitCodes.failed
  },
}

/** A call that was not made says why, as a failure does. */
function endLines(answer: JsonObject): readonly string[] {
  const refusal = isJsonObject(answer['refusal']) ? answer['refusal'] : {}
  const ask = isJsonObject(refusal['ask']) ? say(refusal['ask']['id']) : null
  const what = answer['end'] === 'waiting' ? 'it waits for a person' : 'refused'
  const hint =
    ask === null
      ? refusal['tell']
      : `countersign approve ${ask}; then the same call with --task ${say(answer['task'])}`
  return [
    `error: ${what} (${say(refusal['code'])}): ${visible(say(refusal['reason']))}`,
    `hint: ${visible(say(hint))}`,
  ]
}

export const refusalLines = (refusal: JsonObject): readonly string[] => [
  `  code     ${say(refusal['code'])}, at \`${say(refusal['stage'])}\``,
  `  reason   ${visible(say(refusal['reason']))}`,
  `  told     ${visible(say(refusal['tell']))}`,
  ...(refusal['hint'] === null ? [] : [`  hint     ${visible(say(refusal['hint']))}`]),
]

/** What a tool says is text from outside: shown with what cannot be seen made visible. */
function answerLines({ answer, outcome, call, tool }: JsonObject): readonly string[] {
  const head = `${visible(say(tool))}  ${say(outcome)}  ${say(call)}`
  if (!isJsonObject(answer)) return [head]
  const { kind, result, detail, message } = answer
  if (kind !== 'result' || !isJsonObject(result))
    return [head, visible(say(detail ?? message ?? answer), { lines: true })]
  const blocks = [...objects(result['content']), ...objects(result['contents'])]
  const texts = blocks.map((block) =>
    typeof block['text'] === 'string' ? block['text'] : JSON.stringify(block),
  )
  const shown = texts.length === 0 ? [JSON.stringify(result, null, 2)] : texts
  return [head, ...shown.map((one) => visible(one, { lines: true }))]
}

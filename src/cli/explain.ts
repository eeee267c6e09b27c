import { exitCodes, Failure, print, visible } from './output.ts'
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'
import { refusalLines, wantedCall } from './call.ts'
import { say } from './agent.ts'
import { text, type Command } from './command.ts'

export const explainCommand: Command = {
  usage: ['explain SERVER/NAME [\'{"argument": …}\'] --task ID [--operation call|read|get|complete]'],
  options: { operation: { type: 'string' }, task: { type: 'string' } },
  words: 2,
  async run(invocation) {
    if (text(invocation.flags, 'task') === undefined)
      throw new Failure('expected `--task ID`', 'countersign task list --state open', exitCodes.usage)
    const wanted = wantedCall(invocation.words, invocation.flags)
    const api = await invocation.operators()
    const answer = await api.send('POST', '/v1/explain', wanted)
    print(invocation.terminal, answer, () => explained(answer))
    return exitCodes.done
  },
}

const decisions: { readonly [end: string]: string } = {
  allow: 'it would be made',
  ask: 'it would wait for a person',
  deny: 'policy would deny it',
}

function explained(answer: JsonObject): readonly string[] {
  const { refusal, requirement } = answer
  if (isJsonObject(refusal)) return ['it would be refused', ...refusalLines(refusal)]
  return [
    decisions[say(answer['end'])] ?? say(answer['end']),
    ...each('because', answer['because']),
    ...each('target', answer['targets']),
    ...each('policy', answer['policies']),
    ...each('error', answer['errors']),
    ...(isJsonObject(requirement) ? [`  needs    ${needs(requirement)}`] : []),
    `  labels   ${labels(answer['labels'])}`,
    `  risk     ${say(answer['risk'])}`,
    `  version  ${say(answer['policy'])}`,
  ]
}

const each = (name: string, value: Json | undefined): readonly string[] =>
  Array.isArray(value) ? value.map((one) => `  ${name.padEnd(8)} ${visible(say(one))}`) : []

const needs = ({ count, independent, proof }: JsonObject): string =>
  `${say(count)} ${count === 1 ? 'approval' : 'approvals'}${independent === true ? ', not by the owner' : ''}, proven by ${say(proof)}`

const labels = (value: Json | undefined): string =>
  isJsonObject(value) ? `${say(value['confidentiality'])}, ${say(value['integrity'])}` : ''

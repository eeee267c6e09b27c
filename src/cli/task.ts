import { exitCodes, Failure, print, table } from './output.ts'
import { objects, say } from './agent.ts'
import { amount, text, texts, type Command, type Invocation } from './command.ts'
import type { JsonObject } from '../lib/json.ts'

export const taskCommand: Command = {
  usage: [
    'task list [--agent NAME] [--state open|closed]',
    'task show ID',
    'task open --agent NAME [--purpose CLASS] [--words TEXT] [--tools PATTERN]… [--calls N] [--minutes N] [--parent ID] [--fresh]',
    'task narrow ID [--tools PATTERN]… [--calls N] [--minutes N]',
    'task close ID [--reason TEXT]',
    'task lower ID --confidentiality LEVEL --integrity trusted|untrusted --reason TEXT',
  ],
  options: {
    agent: { type: 'string' },
    state: { type: 'string' },
    purpose: { type: 'string' },
    words: { type: 'string' },
    tools: { type: 'string', multiple: true },
    calls: { type: 'string' },
    minutes: { type: 'string' },
    parent: { type: 'string' },
    fresh: { type: 'boolean' },
    reason: { type: 'string' },
    confidentiality: { type: 'string' },
    integrity: { type: 'string' },
  },
  words: 2,
  async run(invocation) {
    const [verb = 'list', id] = invocation.words
    const { terminal, flags } = invocation
    const api = await invocation.operators()
    if (verb === 'list') {
      const answer = await api.get('/v1/tasks', { agent: text(flags, 'agent'), state: text(flags, 'state') })
      const rows = objects(answer['tasks']).map(row)
      const header = ['TASK', 'AGENT', 'FOR', 'STATE', 'PURPOSE', 'ENDS']
      print(terminal, answer, () => (rows.length === 0 ? ['no tasks'] : table([header, ...rows])))
      return exitCodes.done
    }
    const answer = await act(invocation, verb, id)
    if (verb === 'close') {
      const closed = Array.isArray(answer['closed']) ? answer['closed'] : []
      const lines = closed.map((one) => `closed ${say(one)}`)
      print(terminal, answer, () => (lines.length === 0 ? ['it had ended already'] : lines))
      return exitCodes.done
    }
    print(terminal, answer, () =>
      Object.entries(answer).map(([name, value]) => `${name.padEnd(14)} ${say(value)}`),
    )
    return exitCodes.done
  },
}

async function act(invocation: Invocation, verb: string, id: string | undefined): Promise<JsonObject> {
  const api = await invocation.operators()
  const { flags } = invocation
  if (verb === 'open') {
    const agent = text(flags, 'agent')
    if (agent === undefined)
      throw new Failure('expected `--agent NAME`', 'countersign agent list', exitCodes.usage)
    return invocation.proven((proof) =>
      api.send(
        'POST',
        '/v1/tasks',
        {
          agent,
          ...given(invocation, ['purpose', 'words', 'parent']),
          ...scope(invocation),
          ...(flags['fresh'] === true ? { fresh: true } : {}),
        },
        proof,
      ),
    )
  }
  if (id === undefined)
    throw new Failure(`expected a task: task ${verb} ID`, 'countersign task list', exitCodes.usage)
  const path = `/v1/tasks/${encodeURIComponent(id)}`
  switch (verb) {
    case 'show':
      return api.get(path)
    case 'narrow':
      return api.send('POST', `${path}/narrow`, scope(invocation))
    case 'close':
      return api.send('DELETE', path, { because: text(flags, 'reason') ?? 'closed-by-operator' })
    case 'lower':
      return invocation.proven((proof) =>
        api.send(
          'POST',
          `${path}/labels`,
          given(invocation, ['confidentiality', 'integrity', 'reason']),
          proof,
        ),
      )
    default:
      throw new Failure(`there is no \`task ${verb}\``, 'countersign task --help', exitCodes.usage)
  }
}

const given = ({ flags }: Invocation, names: readonly string[]): JsonObject =>
  Object.fromEntries(names.flatMap((name) => (typeof flags[name] === 'string' ? [[name, flags[name]]] : [])))

function scope({ flags }: Invocation): JsonObject {
  const tools = texts(flags, 'tools')
  const calls = amount(flags, 'calls')
  const minutes = amount(flags, 'minutes')
  return {
    ...(tools.length === 0 ? {} : { tools }),
    ...(calls === undefined ? {} : { budget: { calls } }),
    ...(minutes === undefined ? {} : { expiresIn: Math.round(minutes * 60) }),
  }
}

const row = (task: JsonObject): readonly string[] => [
  say(task['id']),
  say(task['agent']),
  say(task['owner']),
  say(task['state']),
  say(
    typeof task['purpose'] === 'object' && task['purpose'] !== null && 'class' in task['purpose']
      ? task['purpose']['class']
      : task['purpose'],
  ),
  say(task['expiresAt']),
]

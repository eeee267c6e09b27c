import { agentKeyPath, createAgentKey } from '../identity/key.ts'
import { exitCodes, Failure, print, table } from './output.ts'
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'
import { amount, text, texts, type Command, type Invocation } from './command.ts'
import { rm } from 'node:fs/promises'

export const agentCommand: Command = {
  usage: [
    'agent list',
    'agent add NAME [--owner PERSON] [--tools PATTERN]… [--purpose CLASS] [--calls N] [--lifetime MINUTES] [--idle MINUTES]',
    'agent rotate NAME         makes a new key; tasks opened with the old one end',
    'agent revoke NAME [--reason TEXT]',
  ],
  options: {
    owner: { type: 'string' },
    tools: { type: 'string', multiple: true },
    purpose: { type: 'string' },
    calls: { type: 'string' },
    lifetime: { type: 'string' },
    idle: { type: 'string' },
    reason: { type: 'string' },
  },
  words: 2,
  async run(invocation) {
    const [verb = 'list', name] = invocation.words
    const { terminal } = invocation
    const api = await invocation.operators()
    if (verb === 'list') {
      const answer = await api.get('/v1/agents')
      const rows = objects(answer['agents']).map(row)
      const empty = ['no agent is registered: countersign agent add NAME']
      print(terminal, answer, () =>
        rows.length === 0 ? empty : table([['AGENT', 'OWNER', 'STATE', 'TOOLS'], ...rows]),
      )
      return exitCodes.done
    }
    if (name === undefined)
      throw new Failure(`expected a name: agent ${verb} NAME`, 'countersign agent --help', exitCodes.usage)
    const answer = await act(invocation, verb, name)
    print(terminal, answer, () => [
      `${verb === 'add' ? 'added' : verb === 'rotate' ? 'new key for' : 'revoked'} ${name}`,
    ])
    return exitCodes.done
  },
}

async function act(invocation: Invocation, verb: string, name: string): Promise<JsonObject> {
  const api = await invocation.operators()
  const path = `/v1/agents/${encodeURIComponent(name)}`
  switch (verb) {
    case 'add':
      return add(invocation, name)
    case 'rotate': {
      const { rotateAgentKey } = await import('./rotate.ts')
      return rotateAgentKey(invocation, name)
    }
    case 'revoke':
      return api.send('DELETE', path, {
        reason: text(invocation.flags, 'reason') ?? 'revoked by an operator',
      })
    default:
      throw new Failure(`there is no \`agent ${verb}\``, 'countersign agent --help', exitCodes.usage)
  }
}

/** A key that the broker did not take is no key: the name stays free for another try. */
async function add(invocation: Invocation, name: string): Promise<JsonObject> {
  const api = await invocation.operators()
  const task = template(invocation)
  const owner = text(invocation.flags, 'owner')
  const key = await createAgentKey(invocation.home, name)
  const body = { name, publicKey: key.publicKey, task, ...(owner === undefined ? {} : { owner }) }
  try {
    return await invocation.proven((proof) => api.send('POST', '/v1/agents', body, proof))
  } catch (problem) {
    await rm(agentKeyPath(invocation.home, name), { force: true })
    throw problem
  }
}

function template({ flags }: Invocation): JsonObject {
  const tools = texts(flags, 'tools')
  const calls = amount(flags, 'calls')
  const lifetime = amount(flags, 'lifetime')
  const idle = amount(flags, 'idle')
  const purpose = text(flags, 'purpose')
  return {
    ...(tools.length === 0 ? {} : { tools }),
    ...(purpose === undefined ? {} : { purpose }),
    ...(calls === undefined ? {} : { budget: { calls } }),
    ...(lifetime === undefined ? {} : { lifetimeMinutes: lifetime }),
    ...(idle === undefined ? {} : { idleMinutes: idle }),
  }
}

const row = (agent: JsonObject): readonly string[] => {
  const task = isJsonObject(agent['template'])
    ? agent['template']
    : isJsonObject(agent['task'])
      ? agent['task']
      : {}
  const tools = Array.isArray(task['tools']) ? task['tools'].map(String).join(' ') : ''
  return [say(agent['name']), say(agent['owner']), say(agent['state']), tools]
}

export const objects = (value: Json | undefined): readonly JsonObject[] =>
  Array.isArray(value) ? value.filter(isJsonObject) : []

export const say = (value: Json | undefined): string =>
  typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value)

import { exitCodes, Failure, print, progress, table, visible, type ExitCode } from './output.ts'
import { objects, say } from './agent.ts'
import { text, texts, type Command, type Invocation } from './command.ts'
import type { JsonObject } from '../lib/json.ts'

export const serverCommand: Command = {
  usage: [
    'server list',
    'server add NAME [--env NAME=VALUE]… [--cwd DIR] [--environment NAME] -- COMMAND [ARGUMENT…]',
    'server add NAME --url URL [--header NAME=VALUE]… [--environment NAME]     VALUE may be secret:NAME',
    'server tools [NAME] [--state reviewed|quarantined|removed]',
    'server show NAME/TOOL          the whole definition, what was found in it, and what changed',
    'server review NAME [--accept [TOOL…]] [--reject TOOL…] [--effects LIST] [--confidentiality LEVEL] [--integrity trusted|untrusted]',
    'server export NAME             the reviews, for a configuration\'s `reviewed`',
    'server refresh NAME            lists the tools again',
    'server remove NAME',
  ],
  options: {
    url: { type: 'string' },
    env: { type: 'string', multiple: true },
    header: { type: 'string', multiple: true },
    cwd: { type: 'string' },
    environment: { type: 'string' },
    state: { type: 'string' },
    accept: { type: 'boolean' },
    reject: { type: 'boolean' },
    effects: { type: 'string' },
    confidentiality: { type: 'string' },
    integrity: { type: 'string' },
  },
  async run(invocation) {
    const [verb = 'list', name] = invocation.words
    if (verb === 'list') return list(invocation)
    if (verb === 'tools') return tools(invocation, name)
    if (name === undefined) throw new Failure(`expected a name: server ${verb} NAME`, 'countersign server --help', exitCodes.usage)
    switch (verb) {
      case 'add':
        return add(invocation, name)
      case 'show':
        return show(invocation, name)
      case 'review':
        return review(invocation, name)
      case 'export':
        return exportReviews(invocation, name)
      case 'refresh':
      case 'remove':
        return other(invocation, verb, name)
      default:
        throw new Failure(`there is no \`server ${verb}\``, 'countersign server --help', exitCodes.usage)
    }
  },
}

async function list({ operators, terminal }: Invocation): Promise<ExitCode> {
  const answer = await (await operators()).get('/v1/servers')
  const rows = objects(answer['servers']).map((server) => {
    const counts = typeof server['tools'] === 'object' && server['tools'] !== null ? Object.entries(server['tools']) : []
    return [say(server['name']), say(server['state']), say(server['environment']), counts.map(([state, n]) => `${n} ${state}`).join(', ')]
  })
  print(terminal, answer, () => table([['SERVER', 'STATE', 'ENVIRONMENT', 'TOOLS'], ...rows]))
  return exitCodes.done
}

async function add(invocation: Invocation, name: string): Promise<ExitCode> {
  const { flags, rest, terminal } = invocation
  const url = text(flags, 'url')
  const [command, ...args] = rest
  if ((url === undefined) === (command === undefined)) {
    throw new Failure('expected either `--url URL` or `-- COMMAND …`', 'countersign server add NAME -- npx some-server', exitCodes.usage)
  }
  const environment = text(flags, 'environment')
  const cwd = text(flags, 'cwd')
  const config: JsonObject = {
    ...(url === undefined ? { command: command ?? '', args, env: pairs(texts(flags, 'env')) } : { url, headers: pairs(texts(flags, 'header')) }),
    ...(environment === undefined ? {} : { environment }),
    ...(cwd === undefined ? {} : { cwd }),
  }
  const api = await invocation.operators()
  const done = progress(terminal, `listing the tools of ${name}`)
  const answer = await invocation.proven((proof) => api.send('POST', '/v1/servers', { name, config }, proof)).finally(done)
  print(terminal, answer, () => [
    `registered ${name}`,
    ...(typeof answer['problem'] === 'string' ? [`its tools could not be listed: ${visible(answer['problem'])}`] : []),
    ...toolRows(objects(answer['tools'])),
    '',
    `nothing can be called before it is reviewed: countersign server review ${name} --accept`,
  ])
  return exitCodes.done
}

async function tools({ operators, terminal, flags }: Invocation, server: string | undefined): Promise<ExitCode> {
  const answer = await (await operators()).get('/v1/tools', { server, state: text(flags, 'state') })
  print(terminal, answer, () => toolRows(objects(answer['tools'])))
  return exitCodes.done
}

async function show({ operators, terminal }: Invocation, id: string): Promise<ExitCode> {
  const api = await operators()
  const path = `/v1/tools/${encodeURIComponent(id)}`
  const [tool, diff] = [await api.get(path), await api.get(`${path}/diff`)]
  print(terminal, { tool, diff }, () => [
    `${say(tool['id'])}  ${say(tool['state'])}  ${say(tool['digest'])}`,
    ...findings(tool),
    ...(tool['review'] === null ? [] : [`reviewed: ${say(tool['review'])}`]),
    'what changed since the review, and what a model would newly read:',
    ...(Array.isArray(diff['lines']) ? diff['lines'].map((line) => `  ${visible(say(line))}`) : []),
  ])
  return exitCodes.done
}

/** Shows what a reviewer has to see, and accepts or rejects exactly that, by digest. */
async function review(invocation: Invocation, server: string): Promise<ExitCode> {
  const api = await invocation.operators()
  const { flags, terminal } = invocation
  const named = invocation.words.slice(2)
  const answer = await api.get('/v1/tools', { server, state: flags['reject'] === true ? undefined : 'quarantined' })
  const waiting = objects(answer['tools']).filter(({ id }) => named.length === 0 || named.includes(say(id)) || named.includes(say(id).slice(server.length + 1)))
  const accept = flags['accept'] === true
  if (!accept && flags['reject'] !== true) {
    print(terminal, { waiting }, () => [...toolRows(waiting), '', waiting.length === 0 ? 'nothing waits for review' : `accept all of it: countersign server review ${server} --accept`])
    return exitCodes.done
  }
  if (!accept && named.length === 0) throw new Failure('expected the tools to reject', `countersign server review ${server} --reject TOOL`, exitCodes.usage)
  const done: string[] = []
  let proof: Parameters<typeof api.send>[3]
  for (const tool of waiting) {
    const body = { digest: say(tool['digest']), accept, overrides: overrides(flags) }
    const send = (given: typeof proof) => {
      proof = given ?? proof
      return api.send('POST', `/v1/tools/${encodeURIComponent(say(tool['id']))}/review`, body, proof)
    }
    await invocation.proven(send)
    done.push(say(tool['id']))
  }
  print(terminal, { accepted: accept, tools: done }, () => [`${accept ? 'accepted' : 'rejected'} ${done.length}`, ...done.map((id) => `  ${visible(id)}`)])
  return exitCodes.done
}

async function exportReviews({ operators, terminal }: Invocation, server: string): Promise<ExitCode> {
  const answer = await (await operators()).get(`/v1/servers/${encodeURIComponent(server)}/reviews`)
  terminal.out(`${JSON.stringify(answer, null, 2)}\n`)
  return exitCodes.done
}

async function other(invocation: Invocation, verb: 'refresh' | 'remove', name: string): Promise<ExitCode> {
  const api = await invocation.operators()
  const path = `/v1/servers/${encodeURIComponent(name)}`
  const answer = verb === 'refresh' ? await api.send('POST', `${path}/refresh`) : await api.send('DELETE', path)
  print(invocation.terminal, answer, () => (verb === 'remove' ? [`removed ${name}; its tools are tombstones now`] : toolRows(objects(answer['tools']))))
  return exitCodes.done
}

function toolRows(all: readonly JsonObject[]): readonly string[] {
  const rows = all.map((tool) => {
    const reviewed = typeof tool['review'] === 'object' && tool['review'] !== null && 'effects' in tool['review'] ? tool['review']['effects'] : undefined
    const effects = reviewed ?? tool['inferred']
    const list = Array.isArray(effects) ? effects.join(' ') : ''
    return [visible(say(tool['id'])), say(tool['state']), list, String(objects(tool['findings']).length || '')]
  })
  return [...table([['TOOL', 'STATE', 'EFFECTS', 'FINDINGS'], ...rows]), ...all.flatMap(findings)]
}

const findings = (tool: JsonObject): readonly string[] =>
  objects(tool['findings']).map((one) => `  ${say(one['severity'])}: ${visible(say(tool['id']))}: ${visible(say(one['message']))}`)

function overrides(flags: Invocation['flags']): JsonObject {
  const effects = text(flags, 'effects')
  const confidentiality = text(flags, 'confidentiality')
  const integrity = text(flags, 'integrity')
  const environment = text(flags, 'environment')
  return {
    ...(effects === undefined ? {} : { effects: effects.split(',') }),
    ...(confidentiality === undefined ? {} : { confidentiality }),
    ...(integrity === undefined ? {} : { integrity }),
    ...(environment === undefined ? {} : { environment }),
  }
}

function pairs(given: readonly string[]): { readonly [name: string]: string } {
  return Object.fromEntries(
    given.map((pair) => {
      const at = pair.indexOf('=')
      if (at < 1) throw new Failure(`expected NAME=VALUE, found \`${visible(pair)}\``, '--env TOKEN=secret:github', exitCodes.usage)
      return [pair.slice(0, at), pair.slice(at + 1)]
    }),
  )
}

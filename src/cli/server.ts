import { exitCodes, Failure, print, progress, table, visible, type ExitCode } from './output.ts'
import { objects, say } from './agent.ts'
import { hasSecret, piecesOf } from '../adopt/suspect.ts'
import { text, texts, type Command, type Invocation } from './command.ts'
import { facts, findings, linesOf, toolRows } from './tools.ts'
import { isProfileName } from '../registry/profiles.ts'
import { resolve } from 'node:path'
import { review, suggestion } from './reviewing.ts'
import type { JsonObject } from '../lib/json.ts'

export const serverCommand: Command = {
  usage: [
    'server list',
    'server add NAME [--env NAME=VALUE]… [--cwd DIR] [--environment NAME] [--profile NAME_OR_FILE] -- COMMAND [ARGUMENT…]',
    'server add NAME --url URL [--header NAME=VALUE]… [--environment NAME] [--profile NAME_OR_FILE]     VALUE may be secret:NAME',
    'server tools [NAME] [--state reviewed|quarantined|removed]',
    'server show NAME/TOOL          the whole definition, what was found in it, and what changed',
    'server review NAME [--accept [TOOL…]] [--reject TOOL…] [--effects LIST] [--confidentiality LEVEL] [--integrity trusted|untrusted] [--bears ARGUMENT=KIND,…]',
    'server review NAME --again …   also what is reviewed already, as its profile proposes it now',
    "server export NAME             the reviews, for a configuration's `reviewed`",
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
    bears: { type: 'string' },
    again: { type: 'boolean' },
    profile: { type: 'string' },
  },
  words: 1000,
  takesRest: true,
  async run(invocation) {
    const [verb = 'list', name] = invocation.words
    demandNoRest(invocation, verb)
    if (verb === 'list') return servers(invocation)
    if (verb === 'tools') return tools(invocation, name)
    if (name === undefined)
      throw new Failure(`expected a name: server ${verb} NAME`, 'countersign server --help', exitCodes.usage)
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

async function servers({ operators, terminal }: Invocation): Promise<ExitCode> {
  const answer = await (await operators()).get('/v1/servers')
  const rows = objects(answer['servers']).map((server) => {
    const counts =
      typeof server['tools'] === 'object' && server['tools'] !== null ? Object.entries(server['tools']) : []
    return [
      say(server['name']),
      say(server['state']),
      say(server['environment']),
      counts.map(([state, n]) => `${n} ${state}`).join(', '),
    ]
  })
  const empty = 'no server is registered: countersign adopt, or countersign server add NAME -- COMMAND'
  print(terminal, answer, () =>
    rows.length === 0 ? [empty] : table([['SERVER', 'STATE', 'ENVIRONMENT', 'TOOLS'], ...rows]),
  )
  return exitCodes.done
}

async function add(invocation: Invocation, name: string): Promise<ExitCode> {
  const { flags, rest, terminal } = invocation
  const url = text(flags, 'url')
  const [command, ...args] = rest
  if ((url === undefined) === (command === undefined)) {
    throw new Failure(
      'expected either `--url URL` or `-- COMMAND …`',
      'countersign server add NAME -- npx some-server',
      exitCodes.usage,
    )
  }
  const environment = text(flags, 'environment')
  const cwd = text(flags, 'cwd')
  const profile = text(flags, 'profile')
  const config: JsonObject = {
    ...(url === undefined
      ? { command: command ?? '', args, env: pairs(texts(flags, 'env')) }
      : { url, headers: pairs(texts(flags, 'header')) }),
    ...(environment === undefined ? {} : { environment }),
    ...(cwd === undefined ? {} : { cwd }),
    ...(profile === undefined ? {} : { profile: isProfileName(profile) ? profile : resolve(profile) }),
  }
  warnOfSecrets(invocation, name)
  const api = await invocation.operators()
  const done = progress(terminal, `listing the tools of ${name}`)
  const answer = await invocation
    .proven((proof) => api.send('POST', '/v1/servers', { name, config }, proof))
    .finally(done)
  const fits = terminal.json ? [] : await suggestion(api, name)
  print(terminal, answer, () => [
    `registered ${name}`,
    ...(typeof answer['problem'] === 'string'
      ? [`its tools could not be listed: ${visible(answer['problem'])}`]
      : []),
    ...toolRows(objects(answer['tools'])),
    '',
    ...fits,
    `nothing can be called before it is reviewed: countersign server review ${name}`,
  ])
  return exitCodes.done
}

async function tools(
  { operators, terminal, flags }: Invocation,
  server: string | undefined,
): Promise<ExitCode> {
  const answer = await (await operators()).get('/v1/tools', { server, state: text(flags, 'state') })
  print(terminal, answer, () => toolRows(objects(answer['tools'])))
  return exitCodes.done
}

async function show({ operators, terminal }: Invocation, id: string): Promise<ExitCode> {
  const api = await operators()
  const path = `/v1/tools/${encodeURIComponent(id)}`
  const [tool, diff] = [await api.get(path), await api.get(`${path}/diff`)]
  print(terminal, { tool, diff }, () => {
    const changes = linesOf(diff)
    return [
      ...facts(tool),
      ...findings(tool),
      '',
      'the newest definition, as the server gave it:',
      ...JSON.stringify(tool['definition'], null, 2)
        .split('\n')
        .map((line) => `  ${visible(line)}`),
      '',
      ...(changes.length === 0
        ? ['nothing changed since the review']
        : [
            'what changed since the review, and what a model would newly read:',
            ...changes.map((line) => `  ${line}`),
          ]),
    ]
  })
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
  const answer =
    verb === 'refresh' ? await api.send('POST', `${path}/refresh`) : await api.send('DELETE', path)
  print(invocation.terminal, answer, () =>
    verb === 'remove'
      ? [`removed ${name}; its tools are tombstones now`]
      : toolRows(objects(answer['tools'])),
  )
  return exitCodes.done
}

function demandNoRest({ rest }: Invocation, verb: string): void {
  if (verb !== 'add' && rest[0] !== undefined)
    throw new Failure(`did not expect \`${visible(rest[0])}\``, 'countersign server --help', exitCodes.usage)
}

/** A configuration is no place for a secret: it lies in the store in the open, and `server list --json` shows it. */
function warnOfSecrets({ flags, terminal }: Invocation, server: string): void {
  for (const pair of [...texts(flags, 'env'), ...texts(flags, 'header')]) {
    const at = pair.indexOf('=')
    const [name, value] = [pair.slice(0, at), pair.slice(at + 1)]
    if (value.startsWith('secret:') || value.includes('${secret:') || !hasSecret(piecesOf(name, value)))
      continue
    terminal.err(
      `warning: \`${visible(name)}\` looks like a secret, and this keeps it in the open. Better: countersign secret set ${server}-key, then ${visible(name)}=secret:${server}-key\n`,
    )
  }
}

function pairs(given: readonly string[]): { readonly [name: string]: string } {
  return Object.fromEntries(
    given.map((pair) => {
      const at = pair.indexOf('=')
      // What was given instead could be the secret itself.
      if (at < 1) throw new Failure('expected NAME=VALUE', '--env TOKEN=secret:github', exitCodes.usage)
      return [pair.slice(0, at), pair.slice(at + 1)]
    }),
  )
}

import { exitCodes, Failure, print, progress, table, visible, type ExitCode } from './output.ts'
import { objects, say } from './agent.ts'
import type { OperatorClient } from './client.ts'
import { hasSecret, piecesOf } from '../adopt/suspect.ts'
import { text, texts, type Command, type Invocation } from './command.ts'
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'

export const serverCommand: Command = {
  usage: [
    'server list',
    'server add NAME [--env NAME=VALUE]… [--cwd DIR] [--environment NAME] -- COMMAND [ARGUMENT…]',
    'server add NAME --url URL [--header NAME=VALUE]… [--environment NAME]     VALUE may be secret:NAME',
    'server tools [NAME] [--state reviewed|quarantined|removed]',
    'server show NAME/TOOL          the whole definition, what was found in it, and what changed',
    'server review NAME [--accept [TOOL…]] [--reject TOOL…] [--effects LIST] [--confidentiality LEVEL] [--integrity trusted|untrusted]',
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
  const config: JsonObject = {
    ...(url === undefined
      ? { command: command ?? '', args, env: pairs(texts(flags, 'env')) }
      : { url, headers: pairs(texts(flags, 'header')) }),
    ...(environment === undefined ? {} : { environment }),
    ...(cwd === undefined ? {} : { cwd }),
  }
  warnOfSecrets(invocation, name)
  const api = await invocation.operators()
  const done = progress(terminal, `listing the tools of ${name}`)
  const answer = await invocation
    .proven((proof) => api.send('POST', '/v1/servers', { name, config }, proof))
    .finally(done)
  print(terminal, answer, () => [
    `registered ${name}`,
    ...(typeof answer['problem'] === 'string'
      ? [`its tools could not be listed: ${visible(answer['problem'])}`]
      : []),
    ...toolRows(objects(answer['tools'])),
    '',
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

function facts(tool: JsonObject): readonly string[] {
  const review = isJsonObject(tool['review']) ? tool['review'] : null
  const rows: (readonly string[])[] = [
    ['tool', visible(say(tool['id']))],
    ['state', say(tool['state'])],
    ['digest', say(tool['digest'])],
    ['proposed', list(tool['inferred'])],
  ]
  if (review !== null) {
    rows.push(
      ['effects', list(review['effects'])],
      ['environment', visible(say(review['environment']))],
      ['labels', `${say(review['confidentiality'])}, ${say(review['integrity'])}`],
      ['targets', isJsonObject(review['targets']) ? visible(JSON.stringify(review['targets'])) : ''],
      [
        'reviewed',
        `by ${visible(say(review['reviewer']))} at ${say(review['at'])}${review['digest'] === tool['digest'] ? '' : ', another definition'}`,
      ],
    )
  }
  return table(rows)
}

const linesOf = (diff: JsonObject): readonly string[] =>
  Array.isArray(diff['lines']) ? diff['lines'].map((line) => visible(say(line))) : []

/** Shows what a reviewer has to see, and accepts or rejects exactly that, by digest. */
async function review(invocation: Invocation, server: string): Promise<ExitCode> {
  const { flags, terminal } = invocation
  const accept = flags['accept'] === true
  const reject = flags['reject'] === true
  const named = invocation.words.slice(2)
  if (accept && reject)
    throw new Failure(
      '`--accept` and `--reject` are two things',
      `countersign server review ${server}`,
      exitCodes.usage,
    )
  if (reject && named.length === 0)
    throw new Failure(
      'expected the tools to reject',
      `countersign server review ${server} --reject TOOL`,
      exitCodes.usage,
    )
  const api = await invocation.operators()
  await api.get(`/v1/servers/${encodeURIComponent(server)}`)
  const waiting = await chosen(api, { server, named, state: reject ? undefined : 'quarantined' })
  if (!accept && !reject) {
    const changes = await changesOf(api, waiting)
    print(terminal, { waiting }, () => [
      ...(waiting.length === 0 ? ['nothing waits for review'] : toolRows(waiting)),
      ...changes,
      ...(waiting.length === 0
        ? []
        : [
            '',
            'the effects are proposed; --effects LIST decides otherwise. Look closer: countersign server show SERVER/TOOL',
            `accept all of it: countersign server review ${server} --accept`,
          ]),
    ])
    return exitCodes.done
  }
  const done = await decideAll(invocation, waiting, accept)
  print(terminal, { accepted: accept, tools: done }, () => [
    `${accept ? 'accepted' : 'rejected'} ${done.length}`,
    ...done.map((id) => `  ${visible(id)}`),
  ])
  return exitCodes.done
}

/** One after the other, each by the digest that was looked at. Each proof takes a moment, so that takes a while. */
async function decideAll(
  invocation: Invocation,
  waiting: readonly JsonObject[],
  accept: boolean,
): Promise<readonly string[]> {
  const api = await invocation.operators()
  const done: string[] = []
  let told = (): void => undefined
  try {
    for (const tool of waiting) {
      const id = say(tool['id'])
      const body = { digest: say(tool['digest']), accept, overrides: overrides(invocation.flags) }
      const path = `/v1/tools/${encodeURIComponent(id)}/review`
      await invocation.proven((proof) => api.send('POST', path, body, proof))
      // After the first one: before, somebody may be typing a passphrase.
      if (done.push(id) === 1) told = progress(invocation.terminal, `reviewing ${waiting.length} tools`)
    }
  } finally {
    told()
  }
  return done
}

/** Those that were named, each of which has to be there; all of them when none was. */
async function chosen(
  api: Pick<OperatorClient, 'get'>,
  {
    server,
    named,
    state,
  }: { readonly server: string; readonly named: readonly string[]; readonly state: string | undefined },
): Promise<readonly JsonObject[]> {
  const all = objects((await api.get('/v1/tools', { server, state }))['tools'])
  if (named.length === 0) return all
  return named.map((name) => {
    const found = all.find(({ id }) => id === name || say(id).slice(server.length + 1) === name)
    if (found !== undefined) return found
    const what = state === undefined ? 'is no tool of' : 'does not wait for review at'
    throw new Failure(`\`${visible(name)}\` ${what} \`${server}\``, `countersign server tools ${server}`)
  })
}

/** A tool that was reviewed before: what is other now. */
async function changesOf(
  api: Pick<OperatorClient, 'get'>,
  waiting: readonly JsonObject[],
): Promise<readonly string[]> {
  const changed = waiting.filter(({ pinned }) => isJsonObject(pinned))
  const shown = await Promise.all(
    changed.map(async ({ id }) => {
      const lines = linesOf(await api.get(`/v1/tools/${encodeURIComponent(say(id))}/diff`))
      return ['', `${visible(say(id))} changed since its review:`, ...lines.map((line) => `  ${line}`)]
    }),
  )
  return shown.flat()
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

function toolRows(all: readonly JsonObject[]): readonly string[] {
  const rows = all.map((tool) => {
    const reviewed =
      isJsonObject(tool['review']) && tool['state'] === 'reviewed' ? tool['review']['effects'] : undefined
    const found = objects(tool['findings']).length
    return [
      visible(say(tool['id'])),
      say(tool['state']),
      list(reviewed ?? tool['inferred']),
      found === 0 ? '' : String(found),
    ]
  })
  return rows.length === 0
    ? ['no tools']
    : [...table([['TOOL', 'STATE', 'EFFECTS', 'FINDINGS'], ...rows]), ...all.flatMap(findings)]
}

const list = (value: Json | undefined): string => (Array.isArray(value) ? value.map(say).join(' ') : '')

const findings = (tool: JsonObject): readonly string[] =>
  objects(tool['findings']).map(
    (one) => `  ${say(one['severity'])}: ${visible(say(tool['id']))}: ${visible(say(one['message']))}`,
  )

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
      // What was given instead could be the secret itself.
      if (at < 1) throw new Failure('expected NAME=VALUE', '--env TOKEN=secret:github', exitCodes.usage)
      return [pair.slice(0, at), pair.slice(at + 1)]
    }),
  )
}

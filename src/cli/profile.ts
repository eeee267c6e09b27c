import { exitCodes, Failure, print, table, visible, type ExitCode } from './output.ts'
import { isClean, lintProfile, type Shortcoming } from '../registry/costs.ts'
import { isJsonObject, type JsonObject } from '../lib/json.ts'
import { isProfileName, packagedProfiles, readProfile } from '../registry/profiles.ts'
import { objects, say } from './agent.ts'
import { resolve } from 'node:path'
import { stat } from 'node:fs/promises'
import { suggested } from './reviewing.ts'
import { text, type Command, type Invocation } from './command.ts'
import type { Definition } from '../registry/tool.ts'
import type { Profile, ProfileTool } from '../registry/profile.ts'

export const profileCommand: Command = {
  usage: [
    'profile list',
    'profile show NAME_OR_FILE',
    'profile lint SERVER [--all]     which tools of a server lack labels, and what that costs; --all: notes too',
    'profile lint FILE [--server SERVER] [--all]     a profile of your own, and how it fits a server',
  ],
  options: { server: { type: 'string' }, all: { type: 'boolean' } },
  words: 2,
  async run(invocation) {
    const [verb = 'list', named] = invocation.words
    if (verb === 'list' && named === undefined) return list(invocation)
    if (verb !== 'show' && verb !== 'lint')
      throw new Failure(
        `there is no \`profile ${visible(invocation.words.join(' '))}\``,
        'countersign profile --help',
        exitCodes.usage,
      )
    if (named === undefined)
      throw new Failure(`expected a name: profile ${verb} NAME`, 'countersign profile list', exitCodes.usage)
    return verb === 'show' ? show(invocation, named) : lint(invocation, named)
  },
}

async function list({ terminal }: Invocation): Promise<ExitCode> {
  const all = await packagedProfiles()
  const value = all.map(({ name, about, tools, match, digest }) => ({
    name,
    about,
    tools: tools.length,
    match,
    digest,
  }))
  print(terminal, { profiles: value }, () =>
    table([
      ['PROFILE', 'TOOLS', 'ABOUT'],
      ...all.map(({ name, about, tools }) => [name, String(tools.length), visible(about)]),
    ]),
  )
  return exitCodes.done
}

async function show({ terminal }: Invocation, named: string): Promise<ExitCode> {
  const profile = await profileNamed(named)
  print(terminal, profile, () => [
    ...table([
      ['profile', profile.name],
      ['about', visible(profile.about)],
      ...profile.writtenFrom.map((from) => ['written from', visible(from)]),
      ['packages', profile.match.packages.map((name) => visible(name)).join(', ')],
      ['names', profile.match.names.map((name) => visible(name)).join(', ')],
      ['hosts', profile.match.hosts.map((name) => visible(name)).join(', ')],
      ['digest', profile.digest],
    ]),
    '',
    ...table([['TOOL', 'EFFECTS', 'LABELS', 'TARGETS'], ...profile.tools.map(row)]),
  ])
  return exitCodes.done
}

const row = (tool: ProfileTool): readonly string[] => {
  const fields = tool.results?.fields.length ?? 0
  const labels = `${tool.confidentiality ?? '?'}, ${tool.integrity ?? '?'}`
  const bears = tool.bears?.map(({ at, kind }) => `${visible(at).slice(1)}=${kind}`)
  return [
    visible(tool.name),
    tool.effects?.join(' ') ?? '?',
    fields === 0 ? labels : `${labels}, ${fields} ${fields === 1 ? 'field' : 'fields'}`,
    bears === undefined ? '?' : bears.length === 0 ? 'none' : bears.join(','),
  ]
}

/** A registered server by its name, a file by its path: a name never has a `/` or ends with `.yaml`. */
async function lint(invocation: Invocation, named: string): Promise<ExitCode> {
  if (/[/\\]|\.ya?ml$/.test(named)) return lintFile(invocation, named)
  if (text(invocation.flags, 'server') !== undefined)
    throw new Failure(
      '`--server` goes with a file',
      `countersign profile lint ${visible(named)}`,
      exitCodes.usage,
    )
  const api = await invocation.operators()
  const answer = await api.get(`/v1/servers/${encodeURIComponent(named)}/profile`)
  const findings = objects(answer['findings'])
  const fits = answer['suggested']
  const own = typeof answer['profile'] === 'string' ? answer['profile'] : null
  print(invocation.terminal, answer, () => [
    own === null ? `\`${visible(named)}\` has no profile` : `\`${visible(named)}\` by the profile \`${own}\``,
    ...(typeof answer['problem'] === 'string' ? [`its profile: ${visible(answer['problem'])}`] : []),
    ...(isJsonObject(fits) ? [suggested(fits, named, answer['source'] === 'config')] : []),
    ...(Array.isArray(answer['behind']) && answer['behind'].length > 0
      ? [
          `reviewed before the profile spoke of them: ${answer['behind'].map((id) => visible(say(id))).join(', ')}; countersign server review ${visible(named)} --again`,
        ]
      : []),
    ...shown(findings, invocation),
  ])
  const isFine = findings.every(({ severity }) => severity === 'note') && answer['problem'] === null
  return isFine ? exitCodes.done : exitCodes.failed
}

async function lintFile(invocation: Invocation, file: string): Promise<ExitCode> {
  const profile = await profileNamed(file)
  const server = text(invocation.flags, 'server')
  const definitions = server === undefined ? null : await offered(invocation, server)
  const findings: readonly Shortcoming[] = lintProfile(profile, definitions ?? []).filter(
    ({ rule }) => definitions !== null || rule !== 'not-offered',
  )
  const value = { profile: profile.name, digest: profile.digest, server: server ?? null, findings }
  print(invocation.terminal, value, () => [
    `\`${profile.name}\` is a profile of ${profile.tools.length} tools`,
    ...(definitions === null
      ? ['how it fits a server: --server NAME']
      : shown(
          findings.map((one) => ({ ...one })),
          invocation,
        )),
  ])
  return isClean(findings) ? exitCodes.done : exitCodes.failed
}

/** What waits for review and what is reviewed, as the server gave it last. */
async function offered(invocation: Invocation, server: string): Promise<readonly Definition[]> {
  const api = await invocation.operators()
  await api.get(`/v1/servers/${encodeURIComponent(server)}`)
  return objects((await api.get('/v1/tools', { server }))['tools']).flatMap((tool) => {
    const { definition, state } = tool
    if (!isJsonObject(definition) || state === 'removed' || definition['kind'] !== 'tool') return []
    const { inputSchema, annotations } = definition
    return [
      {
        kind: 'tool' as const,
        name: say(definition['name']),
        ...(typeof definition['description'] === 'string' ? { description: definition['description'] } : {}),
        ...(isJsonObject(inputSchema) ? { inputSchema } : {}),
        ...(isJsonObject(annotations) ? { annotations } : {}),
      },
    ]
  })
}

/** Warnings first, each with what it costs; notes only when they are asked for. */
function shown(findings: readonly JsonObject[], { flags, terminal }: Invocation): readonly string[] {
  const notes = findings.filter(({ severity }) => severity === 'note')
  const others = findings.filter(({ severity }) => severity !== 'note')
  const lines = (flags['all'] === true ? [...others, ...notes] : others).flatMap((one) => [
    `${say(one['severity'])}: ${visible(say(one['message']))}`,
    `  costs: ${visible(say(one['costs']))}`,
  ])
  const hidden = flags['all'] === true || terminal.json ? 0 : notes.length
  return [
    ...lines,
    ...(others.length === 0 ? ['nothing lacks a label or a target'] : []),
    ...(hidden === 0 ? [] : [`${hidden} ${hidden === 1 ? 'note' : 'notes'}: --all shows them`]),
  ]
}

async function profileNamed(named: string): Promise<Profile> {
  const read = await readProfile(isProfileName(named) ? named : resolve(named))
  if (read.ok && read.profile !== null) return read.profile
  const isThere = await stat(resolve(named)).then(
    () => true,
    () => false,
  )
  throw new Failure(
    read.ok ? 'expected a profile' : read.problem,
    isProfileName(named) && isThere ? `countersign profile show ./${named}` : 'countersign profile list',
  )
}

import { exitCodes, Failure, print, progress, visible, type ExitCode } from './output.ts'
import { isJsonObject, type JsonObject } from '../lib/json.ts'
import { differences, linesOf, toolRows } from './tools.ts'
import { objects, say } from './agent.ts'
import { text, type Invocation } from './command.ts'
import type { OperatorClient } from './client.ts'

/** Shows what a reviewer has to see, and accepts or rejects exactly that, by digest. */
export async function review(invocation: Invocation, server: string): Promise<ExitCode> {
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
  const again = flags['again'] === true
  const found = await chosen(api, { server, named, state: reject || again ? undefined : 'quarantined' })
  const isWanted = (tool: JsonObject): boolean =>
    tool['state'] === 'quarantined' || differences(tool).length > 0
  const waiting = again && named.length === 0 ? found.filter(isWanted) : found
  if (!accept && !reject) {
    const changes = await changesOf(api, waiting)
    const fits = await suggestion(api, server)
    print(terminal, { waiting }, () => [
      ...(waiting.length === 0 ? ['nothing waits for review'] : toolRows(waiting, true)),
      ...waiting.flatMap((tool) =>
        differences(tool).map((line) => `${visible(say(tool['id']))} by its review → now: ${line}`),
      ),
      ...changes,
      ...fits,
      ...(waiting.length === 0
        ? []
        : [
            '',
            'effects, labels and targets are proposed; --effects LIST and the like decide otherwise. Look closer: countersign server show SERVER/TOOL',
            `accept all of it: countersign server review ${server} --accept${again ? ' --again' : ''}`,
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
  const own = overrides(invocation.flags)
  const done: string[] = []
  let told = (): void => undefined
  try {
    for (const tool of waiting) {
      const id = say(tool['id'])
      // The profile that was looked at, by digest: another one may stand there by now.
      const seen = typeof tool['profile'] === 'string' ? tool['profile'] : null
      const body = {
        digest: say(tool['digest']),
        accept,
        overrides: own,
        ...(accept ? { profile: seen } : {}),
      }
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
  const found = objects((await api.get('/v1/tools', { server, state }))['tools'])
  const all = found.filter((tool) => tool['state'] !== 'removed')
  if (named.length === 0) return all
  return named.map((name) => {
    const one = all.find(({ id }) => id === name || say(id).slice(server.length + 1) === name)
    if (one !== undefined) return one
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

function overrides(flags: Invocation['flags']): JsonObject {
  const effects = text(flags, 'effects')
  const confidentiality = text(flags, 'confidentiality')
  const integrity = text(flags, 'integrity')
  const environment = text(flags, 'environment')
  const bears = text(flags, 'bears')
  return {
    ...(effects === undefined ? {} : { effects: effects.split(',') }),
    ...(confidentiality === undefined ? {} : { confidentiality }),
    ...(integrity === undefined ? {} : { integrity }),
    ...(environment === undefined ? {} : { environment }),
    ...(bears === undefined ? {} : { bears: bearingsOf(bears) }),
  }
}

/** `to=recipient,path=path`; `none` says that no argument decides where it acts. The broker checks pointers and kinds. */
const bearingsOf = (given: string): readonly JsonObject[] =>
  given === 'none'
    ? []
    : given.split(',').map((pair) => {
        const at = pair.lastIndexOf('=')
        if (at < 1)
          throw new Failure(
            'expected ARGUMENT=KIND',
            '--bears to=recipient,folder=path, or --bears none',
            exitCodes.usage,
          )
        const name = pair.slice(0, at)
        return { at: name.startsWith('/') ? name : `/${name}`, kind: pair.slice(at + 1) }
      })

/** A packaged profile that would fit, or what is wrong with the one that is named: a line each, or nothing. */
export async function suggestion(
  api: Pick<OperatorClient, 'get'>,
  server: string,
): Promise<readonly string[]> {
  const found = await api.get(`/v1/servers/${encodeURIComponent(server)}/profile`)
  if (typeof found['problem'] === 'string') return [`its profile: ${visible(found['problem'])}`]
  const behind = Array.isArray(found['behind']) ? found['behind'].length : 0
  const fits = found['suggested']
  if (isJsonObject(fits)) return [suggested(fits, server, found['source'] === 'config')]
  return behind === 0
    ? []
    : [`${behind} reviewed tools lack what the profile says: countersign server review ${server} --again`]
}

/** What to add, and where. */
export const suggested = (fits: JsonObject, server: string, isConfigured: boolean): string => {
  const name = say(fits['name'])
  const what = `profile \`${name}\` knows ${say(fits['known'])} of its ${say(fits['of'])} tools`
  return isConfigured
    ? `${what}: add "profile": "${name}" to \`servers.${server}\` in the configuration`
    : `${what}: remove the server and add it again with --profile ${name}`
}

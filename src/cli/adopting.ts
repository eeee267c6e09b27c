import { adopt, adoptOptions, adoptUsage } from './adopt.ts'
import { createAgentKey, loadAgentKey } from '../identity/key.ts'
import { Failure } from './output.ts'
import { fileURLToPath } from 'node:url'
import { homedir } from 'node:os'
import { isJsonObject, type JsonObject } from '../lib/json.ts'
import { launch } from './paste.ts'
import { listOnce } from '../compose/probe.ts'
import { loadConfig } from '../config/load.ts'
import { loadSealKey } from '../credential/key.ts'
import { sealKeySource } from '../compose/keys.ts'
import { objects, say } from './agent.ts'
import { plain } from '../compose/registry.ts'
import type { AdoptPorts } from '../adopt/apply.ts'
import type { Command, Invocation } from './command.ts'
import type { Existing } from '../adopt/plan.ts'

export const adoptCommand: Command = {
  usage: adoptUsage,
  options: adoptOptions,
  words: 0,
  // All of it or nothing: it is not left in the middle.
  heedsSignal: true,
  async run(invocation) {
    const file = import.meta.url.endsWith('.ts') ? '../credential/launch.ts' : '../credential/launch.js'
    return adopt({
      home: invocation.home,
      args: argsOf(invocation),
      terminal: invocation.terminal,
      machine: { platform: process.platform, home: homedir(), variables: process.env },
      folder: process.cwd(),
      connect: [...launch(), '--home', invocation.home],
      launcher: [process.execPath, fileURLToPath(new URL(file, import.meta.url))],
      ports: portsOf(invocation),
      now: Date.now(),
    })
  },
}

/** The words again, without the global ones, for the command that parses its own. */
const argsOf = ({ flags }: Invocation): readonly string[] =>
  Object.keys(adoptOptions).flatMap((name) => {
    const value = flags[name]
    if (value === undefined || value === false) return []
    if (value === true) return [`--${name}`]
    return (Array.isArray(value) ? value : [value]).flatMap((one) => [`--${name}`, String(one)])
  })

type Step = { readonly ok: true } | { readonly ok: false; readonly detail: string }

/** What adopting does to the broker: the operators' API, as for any other command. */
function portsOf(
  invocation: Invocation,
): AdoptPorts & { existing(): Promise<Existing>; sealKey(): ReturnType<typeof loadSealKey> } {
  const send = (method: 'POST' | 'PUT' | 'DELETE', path: string, body: JsonObject): Promise<Step> =>
    step(async () => {
      const api = await invocation.operators()
      await invocation.proven((proof) => api.send(method, path, body, proof))
    })
  const at = (name: string) => encodeURIComponent(name)
  return {
    existing: async () => {
      const api = await invocation.operators()
      const [servers, secrets] = [await api.get('/v1/servers'), await api.get('/v1/secrets')]
      const active = objects(servers['servers']).filter((server) => server['state'] === 'active')
      return {
        servers: Object.fromEntries(
          active.map((server) => [
            say(server['name']),
            isJsonObject(server['config']) ? server['config'] : {},
          ]),
        ),
        secrets: objects(secrets['secrets']).map((secret) => say(secret['name'])),
      }
    },
    sealKey: () => {
      const kept = invocation.configFile === null ? {} : loadConfig(invocation.configFile).config
      return loadSealKey(sealKeySource({ ...kept, home: invocation.home }))
    },
    addServer: (name, config) => step(() => addReviewed(invocation, name, plain(config))),
    removeServer: (name) => send('DELETE', `/v1/servers/${at(name)}`, {}),
    setSecret: (name, value) => send('PUT', `/v1/secrets/${at(name)}`, { value: value.reveal() }),
    removeSecret: (name) => send('DELETE', `/v1/secrets/${at(name)}`, {}),
    addAgent: (name) => step(() => addAgent(invocation, name)),
    listTools: listOnce,
  }
}

/**
 * The plan showed the tools with their effects, and the person said yes to it: they are reviewed as shown. What a
 * reviewer should be afraid of stays in quarantine.
 */
async function addReviewed(invocation: Invocation, name: string, config: JsonObject): Promise<void> {
  const api = await invocation.operators()
  const added = await invocation.proven((proof) => api.send('POST', '/v1/servers', { name, config }, proof))
  for (const tool of objects(added['tools'])) {
    if (objects(tool['findings']).some(({ severity }) => severity === 'danger')) continue
    const path = `/v1/tools/${encodeURIComponent(say(tool['id']))}/review`
    await invocation.proven((proof) =>
      api.send('POST', path, { digest: say(tool['digest']), accept: true, overrides: {} }, proof),
    )
  }
}

async function addAgent(invocation: Invocation, name: string): Promise<void> {
  const api = await invocation.operators()
  const { agents } = await api.get('/v1/agents')
  if (objects(agents).some((agent) => agent['name'] === name)) return
  const key = await createAgentKey(invocation.home, name).catch(() => loadAgentKey(invocation.home, name))
  await invocation.proven((proof) =>
    api.send('POST', '/v1/agents', { name, publicKey: key.publicKey }, proof),
  )
}

/** A refusal of the broker stops the adoption, which then puts everything back. */
async function step(work: () => Promise<void>): Promise<Step> {
  try {
    await work()
    return { ok: true }
  } catch (problem) {
    if (problem instanceof Failure) return { ok: false, detail: `${problem.message}; ${problem.hint}` }
    throw problem
  }
}

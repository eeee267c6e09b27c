import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { configSchema } from '../../src/config/schema.ts'
import { mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { createAccesses, type Accesses } from '../../src/cli/bridge/access.ts'
import { basename, join, resolve } from 'node:path'
import { loadAgentKey } from '../../src/identity/key.ts'
import { operatorClient, type OperatorClient } from '../../src/cli/client.ts'
import { randomBytes } from 'node:crypto'
import { startBroker, type Broker } from '../../src/broker.ts'
import { startPlayground, type Playground } from '../servers/playground.ts'
import { tmpdir } from 'node:os'
import { expect } from './step.ts'
import { logReader, type LogReader } from './log.ts'

/** A broker that runs, with real servers behind it, in a folder of its own. */
export type Scene = {
  readonly root: string
  readonly home: string
  /** The folder that the filesystem server may use. */
  readonly project: string
  readonly broker: Broker
  readonly playground: Playground
  /** The operators' API over HTTP, with the key in the home folder: good for reading and for stopping. */
  readonly operators: OperatorClient
  readonly passphrase: string
  readonly log: LogReader
  /** The agent's MCP client, connected at first use. `coder` launches `countersign connect`; the others use HTTP. */
  client(agent: AgentName): Promise<Client>
  /** The client goes, as when an editor is closed. */
  leave(agent: AgentName): Promise<void>
  /** What the broker reported as faults. */
  readonly faults: readonly unknown[]
  /** The broker stops; what was published stays. */
  stop(): Promise<void>
  /** Ends everything and removes the folder. */
  close(): Promise<void>
}

/** What each agent's task covers. `coder` sees files alone, `clerk` notes and payments, `helper` one server that is added later. */
export const agents = {
  coder: ['filesystem/create_directory', 'filesystem/list_directory', 'filesystem/read_text_file'],
  clerk: ['playground/*'],
  helper: ['everything/get-env'],
} as const
export type AgentName = keyof typeof agents

export const checkout = resolve(import.meta.dirname, '../..')
export const packaged = (path: string): string => join(checkout, 'node_modules/@modelcontextprotocol', path)

/** Sets everything up; what the tour shows starts after this. */
export async function setTheScene(): Promise<Scene> {
  const root = await mkdtemp(join(await realpath(tmpdir()), 'countersign-tour-'))
  const ends: (() => Promise<unknown>)[] = [() => rm(root, { recursive: true, force: true })]
  const close = async (): Promise<void> => {
    for (const end of ends.splice(0).reverse()) await end()
  }
  try {
    const project = await layProject(root)
    const playground = await startPlayground({ port: 0 })
    ends.push(() => playground.close())
    const faults: unknown[] = []
    const broker = await startBroker(await configured(root, { project, playground }), {
      ports: { agents: 0, operators: 0 },
      onFault: (fault) => void faults.push(fault),
    })
    const stop = once(() => broker.close())
    ends.push(stop)
    const problems = await broker.listed
    expect(Object.keys(problems).length === 0, 'every server to be listed', problems)
    const operators = await operatorClient({ home: broker.home })
    const passphrase = randomBytes(24).toString('base64url')
    // As a person does it who presses `p` in the terminal that runs the broker: a key file is not enough.
    const path = '/v1/operators/operator/passphrase'
    await broker.api({ method: 'PUT', path, body: { passphrase }, level: 'terminal' })
    await operators.send('PUT', '/v1/policy', { files: await policies() }, { passphrase })
    const clients = clientsOf(broker)
    ends.push(() => clients.close())
    const log = await logReader(operators)
    const { home } = broker
    const { client, leave } = clients
    return { root, home, project, broker, playground, operators, passphrase, log, client, leave, faults, stop, close } // prettier-ignore
  } catch (problem) {
    await close()
    throw problem
  }
}

async function layProject(root: string): Promise<string> {
  const project = join(root, 'project')
  await mkdir(project)
  await writeFile(join(project, 'plan.md'), '# Plan\n\nFreeze on Thursday, release on Monday.\n')
  return project
}

/** `guarded` and the tour's own rules. They name servers and tools, so they are swapped in once those are registered. */
const policies = () =>
  Promise.all(
    ['policies/guarded.cedar', 'examples/tour/policies/tour.cedar'].map(async (path) => ({
      name: basename(path),
      text: await readFile(join(checkout, path), 'utf8'),
    })),
  )

/** Reviews are those of the quick start: only exactly these definitions are pinned. */
async function configured(
  root: string,
  given: { readonly project: string; readonly playground: Playground },
) {
  const reviewed = (server: string) => join(checkout, `examples/quickstart/reviewed/${server}.json`)
  const config = configSchema.parse({
    home: join(root, 'home'),
    operator: 'operator',
    policy: { starter: 'guarded' },
    audit: { checkpointMs: 100 },
    servers: {
      filesystem: {
        command: process.execPath,
        args: [packaged('server-filesystem/dist/index.js'), given.project],
        reviewed: reviewed('filesystem'),
      },
      playground: { url: given.playground.url, reviewed: reviewed('playground') },
    },
    agents: Object.fromEntries(
      Object.entries(agents).map(([name, tools]) => [name, { owner: 'owner', task: { tools: [...tools] } }]),
    ),
  })
  return { config, file: null, base: root, digest: 'sha256:tour' }
}

type Connected = { readonly client: Client; readonly end: () => Promise<void> }

function clientsOf(broker: Broker) {
  const connected = new Map<AgentName, Promise<Connected>>()
  const leave = async (agent: AgentName): Promise<void> => {
    const gone = connected.get(agent)
    connected.delete(agent)
    await (await gone?.catch(() => undefined))?.end()
  }
  return {
    leave,
    client: async (agent: AgentName): Promise<Client> => {
      const there =
        connected.get(agent) ?? (agent === 'coder' ? byBridge(broker, agent) : byHttp(broker, agent))
      connected.set(agent, there)
      return (await there).client
    },
    close: async (): Promise<void> => {
      await Promise.all(connected.keys().map(leave))
    },
  }
}

const fresh = (mode: 'legacy' | { readonly pin: '2026-07-28' }) =>
  new Client({ name: 'tour', version: '1.0.0' }, { capabilities: {}, versionNegotiation: { mode } })

/** As desktop clients do it: they launch a command and talk to it on stdio, most of them still in the era of sessions. */
async function byBridge(broker: Broker, agent: AgentName): Promise<Connected> {
  const client = fresh('legacy')
  const main = join(checkout, 'src/cli/main.ts')
  const args = [main, 'connect', '--agent', agent, '--home', broker.home]
  await client.connect(new StdioClientTransport({ command: process.execPath, args, stderr: 'ignore' }))
  return { client, end: () => client.close() }
}

/** As a program without an editor does it: it proves its key, gets a token for a task, and calls over HTTP (MCP 2026-07-28). */
async function byHttp(broker: Broker, agent: AgentName): Promise<Connected> {
  const key = await loadAgentKey(broker.home, agent)
  const access: Accesses = createAccesses({ agent, key, base: async () => broker.urls.agents })
  const { token } = await access.get()
  const client = fresh({ pin: '2026-07-28' })
  const requestInit = { headers: { authorization: `Bearer ${token}` } }
  await client.connect(
    new StreamableHTTPClientTransport(new URL('/mcp', broker.urls.agents), { requestInit }),
  )
  return {
    client,
    async end() {
      await client.close()
      await access.close()
    },
  }
}

function once(act: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | null = null
  return () => (done ??= act())
}

import { createAgentKey, loadAgentKey } from '../../src/identity/key.ts'
import { createAccesses, type Accesses } from '../../src/cli/bridge/access.ts'
import { fork, spawn, type ChildProcess } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import type { Memory, Wanted } from './broker.ts'

/** A broker and a server, each in a process of its own, and what it takes to play with them. */
export type Scene = {
  readonly url: string
  readonly port: number
  ask<Answer extends object>(wanted: Wanted): Promise<Answer>
  memory(): Promise<Memory>
  access(agent: string): Promise<Accesses>
  call(asked: Asked): Promise<Told>
  close(): Promise<void>
}

export type Asked = { readonly token: string; readonly name: string; readonly arguments?: object }
export type Told = { readonly status: number; readonly text: string; readonly ms: number }

const here = import.meta.dirname

export async function startUpstream(tools = 0): Promise<{ readonly url: string; close(): Promise<void> }> {
  const child = spawn(process.execPath, [join(here, 'upstream.ts'), String(tools)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit')
  const [line] = await once(child.stdout, 'data')
  return {
    url: String(line).trim(),
    async close() {
      child.stdin.end()
      await ended
    },
  }
}

export async function startScene(given: {
  readonly url: string
  readonly agents: readonly string[]
  readonly load?: { readonly [name: string]: number }
}): Promise<Scene> {
  const root = await mkdtemp(join(tmpdir(), 'countersign-soak-'))
  const config = {
    home: join(root, 'home'),
    operator: 'operator',
    servers: { notes: { url: given.url, limits: { callMs: 5_000, concurrency: 256 } } },
    agents: Object.fromEntries(given.agents.map((agent) => [agent, {}])),
    policy: { starter: 'observe' },
    approvals: { holdSeconds: 0 },
    load: { ...given.load },
  }
  const child = fork(join(here, 'broker.ts'), [JSON.stringify(config)], { execArgv: ['--expose-gc'] })
  const speak = speaking(child)
  const { agents: url } = await speak.first
  const connections = new Agent({ keepAlive: true, maxSockets: 512 })
  return {
    url,
    port: Number(new URL(url).port),
    ask: speak.ask,
    memory: () => speak.ask<Memory>({ kind: 'memory' }),
    async access(agent) {
      const key = await loadAgentKey(config.home, agent).catch(() => createAgentKey(config.home, agent))
      return createAccesses({ agent, key, base: async () => url, timeoutMs: 60_000 })
    },
    call: (asked) => post(url, connections, asked),
    async close() {
      connections.destroy()
      const ended = once(child, 'exit')
      await speak.ask({ kind: 'close' })
      await ended
      await rm(root, { recursive: true, force: true })
    },
  }
}

type Waiting = { readonly resolve: (value: never) => void; readonly reject: (problem: Error) => void }

function speaking(child: ChildProcess) {
  const waiting = new Map<number, Waiting>()
  const gone = () => new Error('the broker has ended; what it said is above')
  const first = new Promise<{ readonly agents: string }>((resolve, reject) =>
    waiting.set(0, { resolve, reject }),
  )
  let last = 0
  child.once('exit', () => {
    for (const { reject } of waiting.values()) reject(gone())
    waiting.clear()
  })
  child.on('message', ({ id, value }: { readonly id: number; readonly value: never }) => {
    waiting.get(id)?.resolve(value)
    waiting.delete(id)
  })
  return {
    first,
    ask: <Answer extends object>(wanted: Wanted): Promise<Answer> =>
      new Promise((resolve, reject) => {
        if (!child.connected) return reject(gone())
        last += 1
        waiting.set(last, { resolve, reject })
        child.send({ id: last, wanted })
      }),
  }
}

const meta = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientCapabilities': {},
  'io.modelcontextprotocol/clientInfo': { name: 'soak', version: '1' },
}

/** One call over a connection that is kept. Status 0: it broke. */
function post(base: string, agent: Agent, { token, name, arguments: args = {} }: Asked): Promise<Told> {
  const began = performance.now()
  const body = JSON.stringify({
    jsonrpc: '2.0',
    id: 1,
    method: 'tools/call',
    params: { name, arguments: args, _meta: meta },
  })
  return new Promise((resolve) => {
    const end = (status: number, text: string) => resolve({ status, text, ms: performance.now() - began })
    const sent = request(
      new URL('/mcp', base),
      {
        method: 'POST',
        agent,
        headers: {
          authorization: `Bearer ${token}`,
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
          'mcp-protocol-version': '2026-07-28',
          'mcp-method': 'tools/call',
          'mcp-name': name,
        },
      },
      (response) => {
        let text = ''
        response.on('data', (data: Buffer) => (text += data.toString('latin1')))
        response.on('end', () => end(response.statusCode ?? 0, text))
        response.on('error', () => end(0, text))
      },
    )
    sent.on('error', () => end(0, ''))
    sent.end(body)
  })
}

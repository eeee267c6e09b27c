import { createAccesses } from '../../../src/cli/bridge/access.ts'
import { isJsonObject, type JsonObject } from '../../../src/lib/json.ts'
import { loadAgentKey } from '../../../src/identity/key.ts'
import { loadConfig } from '../../../src/config/load.ts'
import { openBroker } from '../../../src/broker.ts'
import { readFile, readdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { spawn } from 'node:child_process'
import { until } from '../play.ts'

/** A broker as people run it: `countersign serve` as a process of its own, with everything that it prints kept. */
export type House = {
  readonly printed: () => Buffer
  /** The operators' API as a person with the passphrase. The answer's bytes are kept in `answers`. */
  operate(method: string, path: string, body?: object): Promise<JsonObject>
  /** One request of an agent; whatever comes back, as bytes. */
  ask(method: string, params: JsonObject, headers?: { readonly [name: string]: string }): Promise<string>
  readonly answers: string[]
  /** Every file below the home. */
  bytes(): Promise<readonly { readonly path: string; readonly bytes: Buffer }[]>
  close(): Promise<void>
}

const passphrase = 'correct horse battery staple for tests'
const meta = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientCapabilities': {},
  'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' },
  progressToken: 'p',
}

/** `mostKilobytes`: no file may grow beyond it, as on a disk that is full. */
export async function startHouse(config: string, home: string, mostKilobytes?: number): Promise<House> {
  await setPassphrase(config)
  const main = resolve(import.meta.dirname, '../../../src/cli/main.ts')
  const serve = [process.execPath, main, 'serve', '--config', config]
  const limited = ['bash', '-c', `trap '' XFSZ; ulimit -f ${mostKilobytes}; exec "$@"`, 'bash', ...serve]
  const [command = '', ...args] = mostKilobytes === undefined ? serve : limited
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const printed: Buffer[] = []
  child.stdout.on('data', (data: Buffer) => printed.push(data))
  child.stderr.on('data', (data: Buffer) => printed.push(data))
  const ended = new Promise<void>((done) => void child.once('exit', () => done()))
  // Printed once every server has been listed and every agent has its key.
  await until(() => Buffer.concat(printed).includes('Countersign runs')).catch((problem: unknown) => {
    child.kill('SIGTERM')
    throw new Error(`it did not start:\n${Buffer.concat(printed).toString()}`, { cause: problem })
  })
  const run: { readonly agents: string; readonly operators: string } = JSON.parse(
    await readFile(join(home, 'run.json'), 'utf8'),
  )
  const answers: string[] = []
  const key = (await readFile(join(home, 'operator.token'), 'utf8')).trim()
  const operate: House['operate'] = async (method, path, body) => {
    const response = await fetch(new URL(path, run.operators), {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        'countersign-passphrase': Buffer.from(passphrase).toString('base64url'),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    answers.push(text)
    if (!response.ok) throw new Error(`${method} ${path}: ${text}`)
    const value: unknown = JSON.parse(text)
    return isJsonObject(value) ? value : {}
  }
  const access = createAccesses({
    agent: 'agent',
    key: await loadAgentKey(home, 'agent'),
    base: async () => run.agents,
  })
  let id = 0
  return {
    printed: () => Buffer.concat(printed),
    operate,
    answers,
    async ask(method, params, headers = {}) {
      const { token } = await access.get()
      const name = params['name'] ?? params['uri']
      const response = await fetch(new URL('/mcp', run.agents), {
        method: 'POST',
        headers: {
          authorization: `Bearer ${token}`,
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          'mcp-protocol-version': '2026-07-28',
          'mcp-method': method,
          ...(typeof name === 'string' ? { 'mcp-name': name } : {}),
          ...headers,
        },
        body: JSON.stringify({ jsonrpc: '2.0', id: ++id, method, params: { ...params, _meta: meta } }),
      })
      return `${[...response.headers].join('\n')}\n${await response.text()}`
    },
    async bytes() {
      const files = (await readdir(home, { recursive: true, withFileTypes: true })).filter((file) =>
        file.isFile(),
      )
      const paths = files.map((file) => join(file.parentPath, file.name))
      // The publisher's temporary files come and go.
      return Promise.all(
        paths.map(async (path) => ({ path, bytes: await readFile(path).catch(() => Buffer.alloc(0)) })),
      )
    },
    async close() {
      child.kill('SIGTERM')
      await ended
    },
  }
}

/** Done at the broker's own terminal, before it serves. */
async function setPassphrase(config: string): Promise<void> {
  const opened = await openBroker(loadConfig(config))
  const { gate } = opened.core
  const set = await gate.setPassphrase(passphrase, 'operator', gate.atTerminal())
  await opened.close()
  if (!set.ok) throw new Error(set.detail)
}

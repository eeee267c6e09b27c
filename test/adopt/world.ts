import { createHash, createSecretKey, randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { TestContext } from 'node:test'
import type { AdoptPorts, Listed } from '../../src/adopt/apply.ts'
import type { Files } from '../../src/adopt/file.ts'
import { adopt } from '../../src/cli/adopt.ts'
import type { ServerConfig } from '../../src/config/schema.ts'

// Put together at run time, so that no scanner takes the examples for leaks.
const body = (seed: number, length: number): string =>
  `${createHash('sha512').update(`${seed}`).digest('base64')}`.replace(/[^A-Za-z0-9]/g, '7').slice(0, length)
export const tokens = {
  github: `gh${'p_'}${body(1, 36)}`,
  linear: `lin_${'api_'}${body(2, 32)}`,
  slack: `xo${'xb-'}${body(3, 30)}`,
  notion: `nt${'n_'}${body(4, 40)}`,
  password: `pg-${body(5, 12)}`,
  plain: `${body(6, 24)}`,
  short: 'hunter2x',
} as const

export type World = {
  readonly user: string
  readonly home: string
  readonly servers: Map<string, ServerConfig>
  readonly secrets: Map<string, string>
  readonly agents: Set<string>
  readonly started: string[]
  readonly ports: AdoptPorts
  path(name: string): string
  write(name: string, text: string): Promise<string>
  text(name: string): Promise<string>
  run(
    args: readonly string[],
    more?: { files?: Files; now?: number; folder?: string },
  ): Promise<{ code: number; out: string; err: string }>
}

/** A user's home folder with a broker that is only its ports. */
export async function world(
  t: TestContext,
  answers: (name: string) => Listed = () => ({ ok: true, tools: [{ name: 'get', effects: ['read'] }] }),
): Promise<World> {
  const root = await mkdtemp(join(tmpdir(), 'countersign-adopt-'))
  t.after(() => rm(root, { recursive: true, force: true }))
  const user = join(root, 'user')
  const home = join(root, 'broker')
  await mkdir(user)
  const servers = new Map<string, ServerConfig>()
  const secrets = new Map<string, string>()
  const agents = new Set<string>()
  const started: string[] = []
  const key = createSecretKey(randomBytes(32))
  const done = { ok: true } as const
  const ports = {
    addServer: async (name: string, config: ServerConfig) => (servers.set(name, config), done),
    removeServer: async (name: string) => ({ ok: servers.delete(name), detail: 'none' }),
    setSecret: async (name: string, value: { reveal(): string }) => (secrets.set(name, value.reveal()), done),
    removeSecret: async (name: string) => ({ ok: secrets.delete(name), detail: 'none' }),
    addAgent: async (name: string) => (agents.add(name), done),
    listTools: async ({ name }: { name: string }) => (started.push(name), answers(name)),
    existing: async () => ({
      servers: Object.fromEntries(
        [...servers].map(([name, config]) => [name, JSON.parse(JSON.stringify(config))]),
      ),
      secrets: [...secrets.keys()],
    }),
    sealKey: async () => key,
  }
  let clock = Date.UTC(2026, 0, 1)
  const path = (name: string): string => join(user, name)
  return {
    user, home, servers, secrets, agents, started, ports, path,
    async write(name, text) {
      await mkdir(dirname(path(name)), { recursive: true })
      await writeFile(path(name), text)
      return path(name)
    },
    text: (name) => readFile(path(name), 'utf8'),
    async run(args, { files, now = (clock += 1000), folder = user } = {}) {
      const said = { out: '', err: '' }
      const code = await adopt({
        home, args, folder, now, ports,
        terminal: { out: (text) => void (said.out += text), err: (text) => void (said.err += text), colour: false, json: false },
        machine: { platform: 'linux', home: user, variables: { FROM_SHELL_TOKEN: tokens.plain } },
        connect: ['/usr/bin/node', '/opt/countersign/cli.js'],
        launcher: ['/usr/bin/node', '/opt/countersign/launch.js'],
        ...(files === undefined ? {} : { files }),
      })
      return { code, ...said }
    },
  } // prettier-ignore
}

export const leaks = (text: string): readonly string[] =>
  Object.values(tokens).filter((token) => text.includes(token))

#!/usr/bin/env node
import { homedir } from 'node:os'
import { isAbsolute, join, resolve } from 'node:path'
import { existsSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { exitCodes, Failure, printFailure, type ExitCode, type Terminal } from './output.ts'
import { secretly } from './secretly.ts'
import type { Command, Invocation } from './command.ts'

/** The commands, in the order that help shows them. Loaded when used: `connect` starts with nothing else. */
const commands: { readonly [name: string]: { readonly summary: string; readonly load: () => Promise<Command> } } = {
  serve: { summary: 'run the broker', load: async () => (await import('./serve.ts')).serveCommand },
  adopt: { summary: 'take over the MCP servers that clients on this machine have configured', load: async () => (await import('./adopting.ts')).adoptCommand },
  connect: { summary: 'what an MCP client launches: a stdio bridge to the running broker', load: async () => (await import('./connecting.ts')).connectCommand },
  token: { summary: 'a short-lived access token for an HTTP client', load: async () => (await import('./token.ts')).tokenCommand },
  server: { summary: 'register, list, review and remove servers', load: async () => (await import('./server.ts')).serverCommand },
  agent: { summary: 'register, list and revoke agents', load: async () => (await import('./agent.ts')).agentCommand },
  task: { summary: 'open, list, narrow and close tasks', load: async () => (await import('./task.ts')).taskCommand },
  call: { summary: 'make a call of your own, on the same path', load: async () => (await import('./call.ts')).callCommand },
  explain: { summary: 'what would happen to a call, without making it', load: async () => (await import('./explain.ts')).explainCommand },
  approve: { summary: 'list, approve and refuse what waits for a person', load: async () => (await import('./approve.ts')).approveCommand },
  revoke: { summary: 'revoke an agent, task, tool, server, secret, token or everything', load: async () => (await import('./revoke.ts')).revokeCommand },
  policy: { summary: 'show, check, swap and suggest policies', load: async () => (await import('./policy.ts')).policyCommand },
  secret: { summary: 'put secrets into the sealed store', load: async () => (await import('./secret.ts')).secretCommand },
  audit: { summary: 'read, export and verify the log', load: async () => (await import('./audit.ts')).auditCommand },
  passphrase: { summary: 'set the passphrase that proves you when approving', load: async () => (await import('./passphrase.ts')).passphraseCommand },
  doctor: { summary: 'check clock, disk, keys, store and listeners', load: async () => (await import('./doctor.ts')).doctorCommand },
}

const globals = {
  home: { type: 'string' },
  config: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean' },
} as const

/** Runs one command line. Never throws: a failure is printed and becomes the exit code. */
export async function main(args: readonly string[], terminal: Omit<Terminal, 'json'>): Promise<ExitCode> {
  const [name = '--help', ...rest] = commandFirst(args)
  const json = rest.includes('--json')
  const shown: Terminal = { ...terminal, json }
  try {
    if (name === '--help' || name === '-h' || name === 'help') return help(shown)
    if (name === '--version') return version(shown)
    const found = Object.hasOwn(commands, name) ? commands[name] : undefined
    if (found === undefined) throw new Failure(`there is no command \`${name}\``, 'countersign --help', exitCodes.usage)
    return await runCommand(name, await found.load(), { rest, terminal: shown })
  } catch (problem) {
    return failed(shown, problem)
  }
}

/** `--home DIR` and `--config FILE` may stand before the command: what starts `countersign` is one list of words. */
function commandFirst(args: readonly string[]): readonly string[] {
  const [flag, value, ...rest] = args
  return (flag === '--home' || flag === '--config') && value !== undefined && rest.length > 0
    ? [...commandFirst(rest), flag, value]
    : args
}

async function runCommand(
  name: string,
  command: Command,
  given: { readonly rest: readonly string[]; readonly terminal: Terminal },
): Promise<ExitCode> {
  const dashes = given.rest.indexOf('--')
  const own = dashes === -1 ? given.rest : given.rest.slice(0, dashes)
  const parsed = parse(name, command, own)
  if (parsed.values['help'] === true) {
    given.terminal.out(usageOf(command).map((line) => `${line}\n`).join(''))
    return exitCodes.done
  }
  const { within } = await import('./within.ts')
  const abort = new AbortController()
  const configFile = typeof parsed.values['config'] === 'string' ? resolve(parsed.values['config']) : foundConfig()
  const home = await homeOf(parsed.values['home'], configFile)
  const place = within({ home, configFile, terminal: given.terminal, secretly: (question) => secretly(question, given.terminal) })
  const invocation: Invocation = {
    terminal: given.terminal,
    words: parsed.positionals,
    rest: dashes === -1 ? [] : given.rest.slice(dashes + 1),
    flags: parsed.values,
    home,
    configFile,
    operators: place.operators,
    proven: place.proven,
    secretly: (question) => secretly(question, given.terminal),
    signal: abort.signal,
  }
  const stop = () => abort.abort()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, stop)
  try {
    return await command.run(invocation)
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.removeListener(signal, stop)
    await place.leave()
  }
}

function parse(name: string, command: Command, args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: { ...globals, ...command.options }, allowPositionals: true, strict: true })
  } catch (problem) {
    const message = problem instanceof Error ? problem.message.split('\n')[0] : 'the words are off'
    throw new Failure(`${message}`, `countersign ${name} --help`, exitCodes.usage)
  }
}

/** `--home`, else what the configuration says, else `COUNTERSIGN_HOME`, else `~/.countersign`. */
async function homeOf(flag: unknown, configFile: string | null): Promise<string> {
  if (typeof flag === 'string') return resolve(flag)
  if (configFile !== null) {
    const { loadConfig } = await import('../config/load.ts')
    return loadConfig(configFile).config.home
  }
  const named = process.env['COUNTERSIGN_HOME']
  return named !== undefined && isAbsolute(named) ? named : join(homedir(), '.countersign')
}

/** A configuration beside the person, or none. */
const foundConfig = (): string | null =>
  ['countersign.jsonc', 'countersign.json'].map((name) => resolve(name)).find((path) => existsSync(path)) ?? null

const usageOf = (command: Command): readonly string[] => [
  ...command.usage.map((line) => `countersign ${line}`),
  '',
  'everywhere: [--home DIR] [--config FILE] [--json] [--help]',
]

function help(terminal: Terminal): ExitCode {
  const width = Math.max(...Object.keys(commands).map((name) => name.length))
  const lines = Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`)
  terminal.out(['countersign COMMAND …', '', ...lines, '', 'countersign COMMAND --help shows how each is used', ''].join('\n'))
  return exitCodes.done
}

async function version(terminal: Terminal): Promise<ExitCode> {
  const { packageVersion } = await import('../config/version.ts')
  terminal.out(`${await packageVersion()}\n`)
  return exitCodes.done
}

function failed(terminal: Terminal, problem: unknown): ExitCode {
  if (problem instanceof Failure) {
    printFailure(terminal, problem)
    return problem.exit
  }
  const hint = problem instanceof Error && 'hint' in problem ? String(problem.hint) : 'run `countersign doctor`'
  const message = problem instanceof Error ? problem.message : 'something failed'
  printFailure(terminal, new Failure(message, hint))
  return exitCodes.failed
}

if (import.meta.main) {
  process.exitCode = await main(process.argv.slice(2), {
    out: (line) => void process.stdout.write(line),
    err: (line) => void process.stderr.write(line),
    colour: process.stderr.isTTY && process.env['NO_COLOR'] === undefined,
    interactive: process.stdin.isTTY && process.stderr.isTTY,
  })
}

#!/usr/bin/env node
import { homedir } from 'node:os'
import { isAbsolute, join, resolve } from 'node:path'
import { existsSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { exitCodes, Failure, printFailure, visible, type ExitCode, type Terminal } from './output.ts'
import { keepCompiled } from './compiled.ts'
import { secretly } from './secretly.ts'
import type { Command, Invocation } from './command.ts'

/** The commands, in the order that help shows them. Loaded when used: `connect` starts with nothing else. */
export const commands: {
  readonly [name: string]: { readonly summary: string; readonly load: () => Promise<Command> }
} = {
  serve: { summary: 'run the broker', load: async () => (await import('./serve.ts')).serveCommand },
  adopt: {
    summary: 'take over the MCP servers that clients on this machine have configured',
    load: async () => (await import('./adopting.ts')).adoptCommand,
  },
  connect: {
    summary: 'what an MCP client launches: a stdio bridge to the running broker',
    load: async () => (await import('./connecting.ts')).connectCommand,
  },
  token: {
    summary: 'a short-lived access token for an HTTP client',
    load: async () => (await import('./token.ts')).tokenCommand,
  },
  server: {
    summary: 'register, list, review and remove servers',
    load: async () => (await import('./server.ts')).serverCommand,
  },
  profile: {
    summary: 'list, show and lint what is known of the tools of products',
    load: async () => (await import('./profile.ts')).profileCommand,
  },
  agent: {
    summary: 'register, list and revoke agents',
    load: async () => (await import('./agent.ts')).agentCommand,
  },
  task: {
    summary: 'open, list, narrow and close tasks',
    load: async () => (await import('./task.ts')).taskCommand,
  },
  call: {
    summary: 'make a call of your own, on the same path',
    load: async () => (await import('./call.ts')).callCommand,
  },
  explain: {
    summary: 'what would happen to a call, without making it',
    load: async () => (await import('./explain.ts')).explainCommand,
  },
  approve: {
    summary: 'list, approve and refuse what waits for a person',
    load: async () => (await import('./approve.ts')).approveCommand,
  },
  revoke: {
    summary: 'revoke an agent, task, tool, server, secret, token or everything',
    load: async () => (await import('./revoke.ts')).revokeCommand,
  },
  policy: {
    summary: 'show, check, swap and suggest policies',
    load: async () => (await import('./policy.ts')).policyCommand,
  },
  secret: {
    summary: 'put secrets into the sealed store',
    load: async () => (await import('./secret.ts')).secretCommand,
  },
  audit: {
    summary: 'read, export, verify and check the log',
    load: async () => (await import('./audit.ts')).auditCommand,
  },
  passphrase: {
    summary: 'set the passphrase that proves you when approving',
    load: async () => (await import('./passphrase.ts')).passphraseCommand,
  },
  keys: {
    summary: 'make the keys that every node of a broker shares',
    load: async () => (await import('./keys.ts')).keysCommand,
  },
  doctor: {
    summary: 'check the machine, keys, store, policies, servers and listeners',
    load: async () => (await import('./doctor.ts')).doctorCommand,
  },
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
  const shown: Terminal = { ...terminal, json: ownWords(rest).includes('--json') }
  try {
    if (name === '--help' || name === '-h') return help(shown)
    if (name === '--version') return await version(shown)
    if (name === 'help') return await helpFor(rest[0], shown)
    return await runCommand(name, await load(name), { rest, terminal: shown })
  } catch (problem) {
    return failed(shown, problem)
  }
}

async function load(name: string): Promise<Command> {
  const found = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (found === undefined)
    throw new Failure(`there is no command \`${visible(name)}\``, 'countersign --help', exitCodes.usage)
  return found.load()
}

/**
 * Global options may stand before the command: what starts `countersign` is one list of words. They are put right behind
 * its name, so that they are never taken for words of what stands behind `--`.
 */
function commandFirst(args: readonly string[]): readonly string[] {
  const before: string[] = []
  let at = 0
  for (; at < args.length - 1; at = before.length) {
    const flag = args[at] ?? ''
    if (flag === '--json' || /^--(?:home|config)=/.test(flag)) before.push(flag)
    else if (flag === '--home' || flag === '--config') before.push(flag, args[at + 1] ?? '')
    else break
  }
  const [name, ...rest] = args.slice(at)
  return name === undefined ? args : [name, ...before, ...rest]
}

/** What stands before `--` is the command's own; the rest belongs to what it starts. */
const ownWords = (rest: readonly string[]): readonly string[] =>
  rest.includes('--') ? rest.slice(0, rest.indexOf('--')) : rest

async function runCommand(
  name: string,
  command: Command,
  given: { readonly rest: readonly string[]; readonly terminal: Terminal },
): Promise<ExitCode> {
  const { terminal } = given
  const own = ownWords(given.rest)
  const { values, positionals } = parse(name, command, own)
  if (values['help'] === true) return shownUsage(command, terminal)
  const rest = given.rest.slice(own.length + 1)
  demandWords(name, command, { positionals, rest })
  const { within } = await import('./within.ts')
  const named = configNamed(values['config'])
  const home = await homeOf(values['home'], named)
  const configFile = named ?? foundConfig(home)
  const abort = new AbortController()
  const ask = (question: string) => secretly(question, terminal, abort.signal)
  const place = within({ home, configFile, terminal, secretly: ask })
  const invocation: Invocation = {
    terminal,
    words: positionals,
    rest,
    flags: values,
    home,
    configFile,
    operators: place.operators,
    proven: place.proven,
    secretly: ask,
    signal: abort.signal,
  }
  const unhear = () => {
    for (const signal of signals) process.removeListener(signal, stop)
  }
  // The first signal ends the command in order; whichever comes second finds nobody listening and ends the process.
  const stop = (signal: NodeJS.Signals) => {
    unhear()
    abort.abort(signal)
  }
  for (const signal of signals) process.on(signal, stop)
  try {
    const running = command.run(invocation)
    return await (command.heedsSignal === true ? running : orInterrupted(running, abort.signal))
  } finally {
    unhear()
    await place.leave()
  }
}

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** The first signal ends the command in order; a second one ends the process. */
async function orInterrupted(running: Promise<ExitCode>, signal: AbortSignal): Promise<ExitCode> {
  const { promise, reject } = Promise.withResolvers<never>()
  const stop = () => reject(new Failure('interrupted', 'run the command again', exitCodes.interrupted))
  signal.addEventListener('abort', stop, { once: true })
  return Promise.race([running, promise]).finally(() => signal.removeEventListener('abort', stop))
}

/** Unknown options and values that are missing, in words of our own. */
function parse(name: string, command: Command, args: readonly string[]) {
  try {
    const options = { ...globals, ...command.options }
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true })
  } catch (problem) {
    const said = problem instanceof Error ? problem.message : ''
    const option = /'(?:-\w, )?(-[^' ]*)/.exec(said)?.[1] ?? ''
    const what = said.startsWith('Unknown option')
      ? `there is no option \`${visible(option)}\``
      : said.includes('does not take')
        ? `\`${visible(option)}\` takes no value`
        : `expected a value after \`${visible(option)}\``
    throw new Failure(what, `countersign ${name} --help`, exitCodes.usage)
  }
}

function demandWords(
  name: string,
  command: Command,
  { positionals, rest }: { readonly positionals: readonly string[]; readonly rest: readonly string[] },
): void {
  const tooMany = positionals[command.words] ?? (command.takesRest === true ? undefined : rest[0])
  if (tooMany === undefined) return
  throw new Failure(`did not expect \`${visible(tooMany)}\``, `countersign ${name} --help`, exitCodes.usage)
}

/** `--config`, else `COUNTERSIGN_CONFIG`: in an image and for a service the configuration does not lie in the home folder. */
function configNamed(flag: unknown): string | null {
  if (typeof flag === 'string') return resolve(flag)
  const named = process.env['COUNTERSIGN_CONFIG']
  return named !== undefined && isAbsolute(named) ? named : null
}

/** `--home`, else what a configuration that was named says, else `COUNTERSIGN_HOME`, else `~/.countersign`. */
async function homeOf(flag: unknown, configFile: string | null): Promise<string> {
  if (typeof flag === 'string') return resolve(flag)
  if (configFile !== null) {
    const { loadConfig } = await import('../config/load.ts')
    return loadConfig(configFile).config.home
  }
  const named = process.env['COUNTERSIGN_HOME']
  return named !== undefined && isAbsolute(named) ? named : join(homedir(), '.countersign')
}

/**
 * The configuration in the home folder, or none. Never one that only lies where the command is run: a cloned project
 * could bring its own, and with it policies, issuers, programs to start, and another broker to send `revoke` to.
 */
const foundConfig = (home: string): string | null =>
  ['countersign.jsonc', 'countersign.json']
    .map((name) => join(home, name))
    .find((path) => existsSync(path)) ?? null

/** A command's usage as `--help` shows it and `docs/reference/cli.md` holds it. */
export const usageOf = (command: Command): readonly string[] => [
  ...command.usage.map((line) => `countersign ${line}`),
  '',
  'everywhere: [--home DIR] [--config FILE] [--json] [--help]',
]

function shownUsage(command: Command, terminal: Terminal): ExitCode {
  terminal.out(
    usageOf(command)
      .map((line) => `${line}\n`)
      .join(''),
  )
  return exitCodes.done
}

const helpFor = async (name: string | undefined, terminal: Terminal): Promise<ExitCode> =>
  name === undefined ? help(terminal) : shownUsage(await load(name), terminal)

function help(terminal: Terminal): ExitCode {
  const width = Math.max(...Object.keys(commands).map((name) => name.length))
  const lines = Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`)
  terminal.out(
    ['countersign COMMAND …', '', ...lines, '', 'countersign COMMAND --help shows how each is used', ''].join(
      '\n',
    ),
  )
  return exitCodes.done
}

async function version(terminal: Terminal): Promise<ExitCode> {
  const { packageVersion } = await import('../config/version.ts')
  terminal.out(`${await packageVersion()}\n`)
  return exitCodes.done
}

/** Prints a failure by the rules of `output.ts`; gives its exit code. */
export function failed(terminal: Terminal, problem: unknown): ExitCode {
  const failure = problem instanceof Failure ? problem : told(problem)
  printFailure(terminal, failure)
  return failure.exit
}

/** Errors of the broker's own carry what to do; those of the system carry a code. */
function told(problem: unknown): Failure {
  if (!(problem instanceof Error)) return new Failure('something failed', 'countersign doctor')
  if ('hint' in problem && typeof problem.hint === 'string') return new Failure(problem.message, problem.hint)
  const code = 'code' in problem && typeof problem.code === 'string' ? problem.code : ''
  const where = 'path' in problem && typeof problem.path === 'string' ? `\`${visible(problem.path)}\`` : 'it'
  switch (code) {
    case 'ENOENT':
      return new Failure(`there is no ${where}`, 'look at the path')
    case 'EACCES':
    case 'EPERM':
      return new Failure(`${where} may not be used by this user`, 'look at its owner and permissions')
    case 'EADDRINUSE':
      return new Failure(`${problem.message.replace(/^listen EADDRINUSE: /, '')}`, busyHint)
    default:
      return new Failure(problem.message, 'countersign doctor')
  }
}

const busyHint = 'stop what listens there, or set `listen` in countersign.jsonc: docs/reference/config.md'

if (import.meta.main) {
  keepCompiled()
  const code = await main(process.argv.slice(2), {
    out: (line) => void process.stdout.write(line),
    err: (line) => void process.stderr.write(line),
    colour: process.stderr.isTTY && process.env['NO_COLOR'] === undefined,
    interactive: process.stdin.isTTY && process.stderr.isTTY,
    unread: () => process.stderr.writableLength,
  })
  process.exitCode = code
  // What was interrupted may still hold a request or a server open.
  if (code === exitCodes.interrupted) process.exit()
}

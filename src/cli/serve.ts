import {
  bold,
  dim,
  exitCodes,
  progress,
  red,
  table,
  visible,
  yellow,
  type ExitCode,
  type Terminal,
} from './output.ts'
import { dirname } from 'node:path'
import { emptyConfig, loadConfig, type Loaded } from '../config/load.ts'
import { factLines, watch } from './watch.ts'
import { factShown } from '../door/operator/events.ts'
import { launch, pastes } from './paste.ts'
import { linesTo } from '../observe/sink.ts'
import { startBroker, type Broker } from '../broker.ts'
import { collectAll } from '../lib/collect.ts'
import type { Command } from './command.ts'
import { StringDecoder } from 'node:string_decoder'
import type { Entered, Presence } from '../identity/operator.ts'

export const serveCommand: Command = {
  usage: ['serve [--config FILE]     runs until Ctrl-C; shows calls as they happen and asks as they come'],
  options: {},
  words: 0,
  heedsSignal: true,
  async run({ configFile, home, terminal, signal }) {
    const loaded = configFile === null ? emptyConfig(dirname(home)) : loadConfig(configFile)
    return serve({ loaded: { ...loaded, config: { ...loaded.config, home } }, terminal, signal })
  },
}

/** After the first calls of a client that waited for the start. */
const tidyMs = 3_000

/** Runs a broker until the signal. Everything that it started is ended before this returns. */
export async function serve(given: {
  readonly loaded: Loaded
  readonly terminal: Terminal
  readonly signal: AbortSignal
  /** More ports for tests and demonstrations. */
  readonly ports?: { readonly agents: number; readonly operators: number }
}): Promise<ExitCode> {
  const { terminal } = given
  const lines = linesOf(given.loaded, terminal)
  const broker = await startBroker(given.loaded, {
    ...(lines === 'json' ? { onLog: linesTo({ write: terminal.err, unread: terminal.unread }) } : {}),
    ...(lines === 'text'
      ? { onFault: (fault) => warn(terminal, fault instanceof Error ? fault.message : 'a fault') }
      : {}),
    ...(given.ports ? { ports: given.ports } : {}),
  })
  const { log } = broker.observer
  log.say('ready', { ...broker.urls })
  const tidy = setTimeout(collectAll, tidyMs)
  tidy.unref()
  try {
    await introduce(broker, { ...given, lines })
    await (terminal.interactive && !terminal.json
      ? attended(broker, given)
      : unattended(broker, { ...given, lines }))
    // A signal from a terminal is a person who waits; from a supervisor it begins an orderly way out.
    if (given.signal.reason === 'SIGTERM') await broker.drain()
  } finally {
    clearTimeout(tidy)
    const { reason }: { readonly reason: unknown } = given.signal
    log.say('stopping', { signal: typeof reason === 'string' ? reason : null })
    if (!terminal.json && lines === 'text') terminal.err('stopping …\n')
    await broker.close()
    log.say('stopped')
  }
  return exitCodes.done
}

/** What goes to stderr while it runs. */
type Lines = 'json' | 'text' | 'off'

function linesOf({ config }: Loaded, terminal: Terminal): Lines {
  const { log } = config.observe
  if (log !== 'auto') return log
  return terminal.interactive || terminal.json ? 'text' : 'json'
}

const warn = (terminal: Terminal, text: string): void => terminal.err(`warning: ${visible(text)}\n`)

/** So long the first screen waits for servers to list their tools; one that is slow is told of later. */
const listingMs = 5000

type Introducing = { readonly terminal: Terminal; readonly signal: AbortSignal; readonly lines: Lines }

type Problems = { readonly [server: string]: string }

async function listing(broker: Broker, { terminal, signal, lines }: Introducing): Promise<Problems> {
  const done = progress(terminal, 'listing tools')
  const { promise, resolve } = Promise.withResolvers<null>()
  const stop = () => resolve(null)
  const timer = setTimeout(stop, listingMs)
  signal.addEventListener('abort', stop, { once: true })
  const problems = await Promise.race([broker.listed, promise]).finally(done)
  clearTimeout(timer)
  signal.removeEventListener('abort', stop)
  if (problems !== null) return problems
  const late = (found: Problems): void => {
    if (!signal.aborted && lines === 'text')
      for (const [server, problem] of Object.entries(found)) warn(terminal, `${server}: ${problem}`)
  }
  void broker.listed.then(late, () => undefined)
  return Object.fromEntries(
    broker.core.registry
      .servers()
      .flatMap((server) =>
        broker.core.registry.record(server)?.view === null ? [[server, 'still listing']] : [],
      ),
  )
}

async function introduce(broker: Broker, given: Introducing & { readonly loaded: Loaded }): Promise<void> {
  const { terminal } = given
  // Lines of JSON and nothing else were asked for: what reads them reads stdout, too.
  if (given.loaded.config.observe.log === 'json' && !terminal.json) return
  const problems = await listing(broker, given)
  if (given.signal.aborted) return
  const agents = (await broker.core.agents.list())
    .filter(({ state }) => state === 'active')
    .map(({ name }) => name)
  const all = pastes({ home: broker.home, agents })
  if (terminal.json) {
    const status = await broker.api({ method: 'GET', path: '/v1/status', level: 'terminal' })
    return terminal.out(
      `${JSON.stringify({ ...status.body, problems, paste: all.map((one) => ({ ...one })) })}\n`,
    )
  }
  const { registry } = broker.core
  const rows = registry.servers().map((server) => {
    const tools = registry.tools({ server })
    const count = (state: string) => tools.filter((tool) => tool.state === state).length
    const waiting = count('quarantined')
    return [
      `  ${server}`,
      `${count('reviewed')} reviewed`,
      waiting === 0 ? '' : `${waiting} in quarantine`,
      visible(problems[server] ?? ''),
    ]
  })
  const lines = [
    bold(terminal, 'Countersign runs'),
    `  agents      ${broker.urls.agents}/mcp`,
    `  operators   ${broker.urls.operators}   (${broker.operator})`,
    `  home        ${broker.home}`,
    `  config      ${given.loaded.file ?? 'none; the defaults'}`,
    `  policy      ${policyName(broker)}`,
    ...(broker.recovered.length === 0
      ? []
      : [`  recovered   ${broker.recovered.length} calls of an earlier run, as unknown`]),
    '',
    bold(terminal, 'protected'),
    ...table(rows),
    ...(rows.length === 0
      ? ['  nothing yet: countersign adopt, or countersign server add NAME -- COMMAND']
      : []),
    '',
    bold(terminal, 'paste into your client'),
    ...all.flatMap(({ client, where, text }) => [
      `  ${client} ${dim(terminal, `(${where})`)}`,
      `    ${text}`,
    ]),
    ...((await broker.core.gate.hasPassphrase())
      ? []
      : [
          '',
          yellow(
            terminal,
            'no passphrase is set: what asks for proof cannot be approved yet. Press p here to set one.',
          ),
        ]),
    ...(broker.core.revocations.first(['all']) === null
      ? []
      : [
          '',
          red(terminal, `■ everything is stopped since an earlier run. ${words(broker, 'revoke lift all')}`),
        ]),
    '',
  ]
  terminal.out(`${lines.join('\n')}\n`)
}

/** A command as it can be pasted here. */
const words = (broker: Broker, command: string): string =>
  `${launch().join(' ')} ${command} --home ${broker.home}`

const policyName = (broker: Broker): string => {
  const { version, policies } = broker.core.policies.snapshot()
  return `${broker.core.policySet
    .files()
    .map(({ name }) => name)
    .join(', ')}: ${policies.length} policies, ${version.slice(0, 19)}…`
}

const unproven = ({ problem, waitMs }: Extract<Entered, { readonly ok: false }>): string => {
  if (problem === 'no-passphrase-set') return 'no passphrase is set: go back and press p'
  if (problem === 'slow-down') return `too many wrong ones; wait ${Math.ceil(waitMs / 1000)} s`
  return 'that passphrase is not right'
}

/** A person is there: keys answer asks. */
async function attended(broker: Broker, { terminal, signal }: Parameters<typeof serve>[0]): Promise<void> {
  const { stdin } = process
  const quit = new AbortController()
  const { gate, revocations } = broker.core
  // Used for who and how proven; no call is made with it.
  const brief = (presence: Presence): Presence => {
    gate.leave(presence)
    return presence
  }
  const at = (): Presence => brief(gate.atTerminal())
  const screen = watch(
    {
      hub: broker.hub,
      approvals: broker.core.approvals,
      clock: { now: () => Date.now() },
      known: async (ask) => ({
        task: await broker.core.tasks.get(ask.task),
        tool: broker.core.registry.tool(ask.tool),
      }),
      atTerminal: at,
      withPassphrase: async (passphrase) => {
        const entered = await gate.enter({ key: broker.operatorKey, name: null, passphrase })
        return entered.ok ? brief(entered.presence) : unproven(entered)
      },
      setPassphrase: async (passphrase) => {
        const set = await gate.setPassphrase(passphrase, broker.operator, at())
        return set.ok ? null : set.detail
      },
      toggleStop: async () => {
        const reason = 'the stop key in the serving terminal'
        if (revocations.first(['all']) === null) {
          await revocations.revoke({ key: 'all', reason }, at().actor)
          return 'stopped'
        }
        await revocations.lift({ key: 'all', reason }, at().actor)
        return 'running'
      },
      quit: () => quit.abort(),
    },
    terminal,
  )
  terminal.err(
    `${dim(terminal, 'calls appear here. y approves, n refuses, s stops everything, p sets your passphrase, Ctrl-C ends')}\n`,
  )
  const decoder = new StringDecoder('utf8')
  const onKeys = (data: Buffer) => void screen.key(decoder.write(data))
  stdin.setRawMode(true)
  stdin.resume()
  stdin.on('data', onKeys)
  try {
    await ended(AbortSignal.any([signal, quit.signal]))
  } finally {
    stdin.off('data', onKeys)
    stdin.setRawMode(false)
    stdin.pause()
    screen.end()
  }
}

/** Nobody is there: lines only, one JSON value each with `--json`. */
async function unattended(
  broker: Broker,
  { terminal, signal, lines }: Parameters<typeof serve>[0] & { readonly lines: Lines },
): Promise<void> {
  const end = broker.hub.subscribe((fact) => {
    if (terminal.json) return terminal.out(`${JSON.stringify(factShown(fact))}\n`)
    if (lines !== 'text') return
    for (const line of factLines(fact, terminal)) terminal.err(`${line}\n`)
    if (fact.kind === 'ask')
      terminal.err(
        `● ${visible(fact.ask.agent)} asks for ${visible(fact.ask.tool)}: countersign approve ${fact.ask.id}\n`,
      )
  })
  await ended(signal)
  end()
}

/** Keeps the process alive until the signal. */
async function ended(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  const alive = setInterval(() => undefined, 60_000)
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
  clearInterval(alive)
}

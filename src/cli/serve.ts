import { bold, dim, exitCodes, table, visible, yellow, type ExitCode, type Terminal } from './output.ts'
import { dirname } from 'node:path'
import { emptyConfig, loadConfig, type Loaded } from '../config/load.ts'
import { factLines, watch } from './watch.ts'
import { factShown } from '../door/operator/events.ts'
import { pastes } from './paste.ts'
import { startBroker, type Broker } from '../broker.ts'
import type { Command } from './command.ts'
import type { Presence } from '../identity/operator.ts'

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

/** Runs a broker until the signal. Everything that it started is ended before this returns. */
export async function serve(given: {
  readonly loaded: Loaded
  readonly terminal: Terminal
  readonly signal: AbortSignal
  /** More ports for tests and demonstrations. */
  readonly ports?: { readonly agents: number; readonly operators: number }
}): Promise<ExitCode> {
  const { terminal } = given
  const onFault = (fault: unknown) =>
    terminal.err(`warning: ${visible(fault instanceof Error ? fault.message : 'a fault')}\n`)
  const broker = await startBroker(given.loaded, { onFault, ...(given.ports ? { ports: given.ports } : {}) })
  try {
    await introduce(broker, terminal)
    await (terminal.interactive && !terminal.json ? attended(broker, given) : unattended(broker, given))
  } finally {
    if (!terminal.json) terminal.err('stopping …\n')
    await broker.close()
  }
  return exitCodes.done
}

async function introduce(broker: Broker, terminal: Terminal): Promise<void> {
  const problems = await broker.listed
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
      problems[server] ?? '',
    ]
  })
  const lines = [
    bold(terminal, 'Countersign runs'),
    `  agents      ${broker.urls.agents}/mcp`,
    `  operators   ${broker.urls.operators}   (${broker.operator})`,
    `  home        ${broker.home}`,
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
            'no passphrase is set: what asks for proof cannot be approved yet. countersign passphrase',
          ),
        ]),
    '',
  ]
  terminal.out(`${lines.join('\n')}\n`)
}

const policyName = (broker: Broker): string => {
  const { version, policies } = broker.core.policies.snapshot()
  return `${broker.core.policyFiles.map(({ name }) => name).join(', ')}: ${policies.length} policies, ${version.slice(0, 19)}…`
}

/** A person is there: keys answer asks. */
async function attended(broker: Broker, { terminal, signal }: Parameters<typeof serve>[0]): Promise<void> {
  const { stdin } = process
  const quit = new AbortController()
  const { gate, revocations } = broker.core
  const at = (): Presence => gate.atTerminal()
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
        return entered.ok ? entered.presence : null
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
    `${dim(terminal, 'calls appear here. y approves, n refuses, s stops everything, Ctrl-C ends')}\n`,
  )
  const onKeys = (data: Buffer) =>
    void screen
      .key(data.toString('utf8'))
      .catch((problem: unknown) => terminal.err(`warning: ${String(problem)}\n`))
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
async function unattended(broker: Broker, { terminal, signal }: Parameters<typeof serve>[0]): Promise<void> {
  const end = broker.hub.subscribe((fact) => {
    if (terminal.json) return terminal.out(`${JSON.stringify(factShown(fact))}\n`)
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

import type { KeyObject } from 'node:crypto'
import { parseArgs } from 'node:util'
import { applyPlan, probe, without } from '../adopt/apply.ts'
import type { AdoptPorts, Listed } from '../adopt/apply.ts'
import { realFiles } from '../adopt/file.ts'
import type { Files } from '../adopt/file.ts'
import { gather, readEnvironmentFile } from '../adopt/find.ts'
import type { Gathered } from '../adopt/find.ts'
import { clients } from '../adopt/place.ts'
import type { Machine } from '../adopt/place.ts'
import { plan as planOf } from '../adopt/plan.ts'
import type { Existing, Plan } from '../adopt/plan.ts'
import { appliedLines, planLines, planValue, undoneLines } from '../adopt/show.ts'
import type { Shown } from '../adopt/show.ts'
import { undo } from '../adopt/undo.ts'
import { exitCodes, Failure, print, printFailure, visible } from './output.ts'
import type { ExitCode, Terminal } from './output.ts'

export const adoptUsage = [
  'adopt [--client NAME]… [--project DIR]… [--probe]',
  'adopt --yes [--client NAME]… [--project DIR]… [--no-probe]',
  'adopt --undo [--force]',
] as const

export const adoptOptions = {
  yes: { type: 'boolean' },
  undo: { type: 'boolean' },
  force: { type: 'boolean' },
  'dry-run': { type: 'boolean' },
  probe: { type: 'boolean' },
  'no-probe': { type: 'boolean' },
  json: { type: 'boolean' },
  client: { type: 'string', multiple: true },
  project: { type: 'string', multiple: true },
} as const

export type AdoptCommand = {
  /** The broker's home: keys, backups. */
  readonly home: string
  readonly args: readonly string[]
  readonly terminal: Pick<Terminal, 'out' | 'err' | 'colour' | 'json'>
  readonly machine: Machine
  /** Where it runs. */
  readonly folder: string
  /** What starts `countersign` on this machine, for the clients' configurations; absolute paths. */
  readonly connect: readonly [string, ...string[]]
  /** What starts `credential/launch.ts`: Node and the file. */
  readonly launcher: readonly [string, ...string[]]
  readonly addressSecrets?: boolean
  readonly ports: AdoptPorts & { existing(): Promise<Existing>; sealKey(): Promise<KeyObject> }
  readonly now: number
  readonly files?: Files
}

/**
 * `countersign adopt`. Without `--yes` it writes nothing, and without `--probe` it starts nothing either. With `--yes`
 * each server is started once first (`--no-probe`: not), and one that does not list its tools keeps its old entry:
 * after adopting, each client reaches what it reached before.
 */
export async function adopt(command: AdoptCommand): Promise<ExitCode> {
  const json = command.terminal.json || command.args.includes('--json')
  const terminal = { ...command.terminal, json }
  try {
    const flags = flagsOf(command.args)
    return flags.undo === true
      ? await back(command, terminal, flags.force === true)
      : await forward(command, terminal, flags)
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    printFailure(terminal, error)
    return error.exit
  }
}

type Flags = ReturnType<typeof flagsOf>

function flagsOf(args: readonly string[]) {
  try {
    const { values } = parseArgs({ args: [...args], options: adoptOptions, strict: true })
    const unknown = (values.client ?? []).find((name) => !clients.some((client) => client === name))
    if (unknown !== undefined)
      throw new Failure(
        `\`${unknown}\` is no client that adopt knows`,
        `use one of ${clients.join(', ')}`,
        exitCodes.usage,
      )
    if (values.undo === true && values.yes === true)
      throw new Failure('`--undo` and `--yes` are two things', 'run one, then the other', exitCodes.usage)
    return values
  } catch (error) {
    if (error instanceof Failure) throw error
    throw new Failure(
      error instanceof Error ? error.message : 'wrong usage',
      `countersign ${adoptUsage.join('\n      countersign ')}`,
      exitCodes.usage,
    )
  }
}

async function forward(
  command: AdoptCommand,
  terminal: AdoptCommand['terminal'],
  flags: Flags,
): Promise<ExitCode> {
  const files = command.files ?? realFiles
  const gathered = await gather({
    machine: command.machine,
    clients: flags.client ?? clients,
    projects: flags.project ?? [],
    folder: command.folder,
    files,
  })
  const whole = await planFor(command, gathered)
  const apply = flags.yes === true && flags['dry-run'] !== true
  const probing = flags.probe === true || (apply && flags['no-probe'] !== true)
  if (probing) announce(whole, terminal)
  const probed = probing ? await probe(whole, command.ports) : null
  const plan = reachable(whole, probed)
  const shown = { plan, gathered, probed }
  if (!apply || plan.adoptions.length === 0) {
    const hint =
      plan.adoptions.length > 0 ? ['', 'Nothing was changed. To do it: countersign adopt --yes'] : []
    print(terminal, { plan: planValue(shown), applied: null }, () => [...planLines(shown, terminal), ...hint])
    return exitCodes.done
  }
  return act(command, terminal, { shown, gathered, files })
}

async function act(
  command: AdoptCommand,
  terminal: AdoptCommand['terminal'],
  { shown, gathered, files }: { readonly shown: Shown; readonly gathered: Gathered; readonly files: Files },
): Promise<ExitCode> {
  const { plan } = shown
  const key = await command.ports.sealKey()
  const applied = await applyPlan({
    plan,
    snapshots: gathered.snapshots,
    home: command.home,
    key,
    ports: command.ports,
    files,
    now: command.now,
  })
  if (!applied.ok) {
    const rest =
      applied.notPutBack.length === 0
        ? 'everything is as it was; correct it and run again'
        : `not put back: ${applied.notPutBack.join(', ')}; run \`countersign adopt --undo\``
    throw new Failure(visible(applied.detail), visible(rest))
  }
  const value = {
    plan: planValue(shown),
    applied: { folder: applied.folder, files: applied.files.map(({ path }) => path) },
  }
  print(terminal, value, () => [...planLines(shown, terminal), '', ...appliedLines(applied, plan)])
  return exitCodes.done
}

async function planFor(command: AdoptCommand, gathered: Gathered): Promise<Plan> {
  const { machine, connect, launcher, ports } = command
  return planOf(gathered.files, {
    platform: machine.platform,
    home: machine.home,
    variables: machine.variables,
    environmentFile: readEnvironmentFile,
    inherit: inherited(machine),
    connect,
    launcher,
    addressSecrets: command.addressSecrets === true,
    existing: await ports.existing(),
  })
}

/** What the clients give a server that is not set for it and that programs look for: where the user's files are. */
function inherited({ platform, home, variables }: Machine): { readonly [name: string]: string } {
  if (platform !== 'win32') return { HOME: home }
  const names = ['APPDATA', 'LOCALAPPDATA', 'USERPROFILE', 'TEMP', 'PROGRAMFILES'] as const
  return Object.fromEntries(
    names.flatMap((name) => (variables[name] === undefined ? [] : [[name, variables[name]]])),
  )
}

function announce(plan: Plan, terminal: AdoptCommand['terminal']): void {
  const started = plan.servers.filter((server) =>
    plan.adoptions.some((adoption) => adoption.server === server.name && !adoption.disabled),
  )
  if (started.length > 0)
    terminal.err(`Starting once, as the clients do: ${started.map((server) => server.name).join(', ')}\n`)
}

/** A server that did not answer keeps its old entry, and the plan says so. */
function reachable(plan: Plan, probed: ReadonlyMap<string, Listed | null> | null): Plan {
  const failed = new Map(
    [...(probed ?? [])].flatMap(([name, listed]) =>
      listed !== null && !listed.ok ? [[name, listed.detail] as const] : [],
    ),
  )
  const left = plan.adoptions.flatMap((adoption) => {
    const detail = failed.get(adoption.server)
    const why = `it did not list its tools when started by the broker (${detail ?? ''}); it keeps its entry, or use --no-probe`
    return detail === undefined
      ? []
      : [{ client: adoption.client, path: adoption.path, entry: adoption.entry, why }]
  })
  const rest = without(plan, new Set(failed.keys()))
  return { ...rest, left: [...plan.left, ...left] }
}

async function back(
  command: AdoptCommand,
  terminal: AdoptCommand['terminal'],
  force: boolean,
): Promise<ExitCode> {
  const files = command.files ?? realFiles
  const undone = await undo({
    home: command.home,
    key: await command.ports.sealKey(),
    ports: command.ports,
    force,
    files,
  })
  switch (undone.kind) {
    case 'nothing':
      throw new Failure('there is nothing to undo', 'countersign adopt shows what could be adopted')
    case 'edited':
      throw new Failure(
        `edited since they were adopted: ${undone.paths.map((path) => visible(path)).join(', ')}; nothing was changed`,
        'countersign adopt --undo --force puts the old servers back and keeps the other edits',
      )
    case 'failed':
      throw new Failure(
        visible(undone.detail),
        `${undone.restored.length} files are back; correct it and run again`,
      )
    case 'undone':
      print(
        terminal,
        { undone: { restored: undone.restored, merged: undone.merged, notRemoved: undone.notRemoved } },
        () => undoneLines(undone),
      )
      return exitCodes.done
  }
}

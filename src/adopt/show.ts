import { bold, table, visible, yellow } from '../cli/output.ts'
import type { JsonObject } from '../lib/json.ts'
import type { Applied, Listed } from './apply.ts'
import { rewrite } from './apply.ts'
import type { Gathered } from './find.ts'
import type { Plan, PlannedServer } from './plan.ts'
import type { Undone } from './undo.ts'

/** What was looked at and what would become of it. Values of secrets, files and literal variables are not in it. */
export type Shown = {
  readonly plan: Plan
  readonly gathered: Pick<Gathered, 'left' | 'discovered'>
  /** Null: nothing was started. */
  readonly probed: ReadonlyMap<string, Listed | null> | null
}

type Ink = { readonly colour: boolean }

type Section = readonly [title: string, rows: readonly (readonly string[])[]]

/** For people: what moves, what runs, what each entry becomes, what stays and why. */
export function planLines(shown: Shown, ink: Ink): readonly string[] {
  const lines = sectionsOf(shown).flatMap(([title, rows]) =>
    rows.length === 0
      ? []
      : ['', bold(ink, title), ...table(rows.map((row) => ['', ...row.map((cell) => visible(cell))]))],
  )
  return [...lines, ...closing(shown, ink)].slice(1)
}

function sectionsOf({ plan, gathered, probed }: Shown): readonly Section[] {
  const places = (from: Plan['secrets'][number]['from']): string =>
    from.map(({ path, entry, where }) => `${path} ${entry} ${where}`).join(', ')
  return [
    ['Secrets that move into the sealed store', plan.secrets.map(({ name, from }) => [name, places(from)])],
    [
      'Servers behind the broker',
      plan.servers.map((server) => [
        server.name,
        reachOf(server),
        server.isNew ? 'new' : 'registered already',
      ]),
    ],
    [
      'What each configuration will contain',
      plan.adoptions.map((adoption) => [
        adoption.path,
        `${adoption.entry}:`,
        commandOf([adoption.command, ...adoption.args]),
        noteOf(adoption),
      ]),
    ],
    ['Tools and their effects', toolRows(probed)],
    [
      'Not adopted',
      [...plan.left, ...gathered.left].map(({ path, entry, why }) => [path, entry ?? '(file)', why]),
    ],
    ['Through the broker already', plan.done.map(({ path, entry }) => [path, entry])],
    [
      'Found in projects, not adopted',
      gathered.discovered.map(({ path, entries, project }) => [
        path,
        count(entries, 'server'),
        `adopt with --project ${shellWord(project)}`,
      ]),
    ],
  ]
}

function closing({ plan, gathered, probed }: Shown, ink: Ink): readonly string[] {
  const warnings = rewrite(plan).flatMap(({ path, remains }) =>
    remains.map(
      ({ secret, count: number }) =>
        `warning: ${number} more of the value of \`${secret}\` in ${path} outside the adopted servers; take it out by hand`,
    ),
  )
  const lines = warnings.flatMap((warning) => ['', yellow(ink, visible(warning))])
  const nothing =
    plan.left.length + gathered.left.length > 0
      ? 'Nothing to adopt.'
      : 'No servers found that do not go through the broker.'
  if (plan.adoptions.length === 0) lines.push('', nothing)
  if (probed === null && plan.servers.length > 0)
    lines.push('', 'Nothing was started. Add --probe to start each server once and see its tools.')
  return lines
}

/** The same facts for machines. */
export function planValue({ plan, gathered, probed }: Shown): JsonObject {
  const tools = [...(probed ?? new Map<string, Listed | null>())].map(
    ([server, listed]) => [server, listedValue(listed)] as const,
  )
  return {
    secrets: plan.secrets.map(({ name, from }) => ({ name, from: [...from] })),
    servers: plan.servers.map(({ name, isNew, secrets, ...server }) => ({
      name,
      runs: reachOf({ name, isNew, secrets, ...server }),
      new: isNew,
      secrets: [...secrets],
    })),
    adoptions: plan.adoptions.map(({ at, args, notes, ...rest }) => ({
      ...rest,
      at: [...at],
      args: [...args],
      notes: [...notes],
    })),
    agents: [...plan.agents],
    notAdopted: [...plan.left, ...gathered.left].map((row) => ({ ...row })),
    already: plan.done.map((row) => ({ ...row })),
    discovered: gathered.discovered.map((row) => ({ ...row })),
    remains: rewrite(plan).flatMap(({ path, remains }) => remains.map((row) => ({ path, ...row }))),
    tools: probed === null ? null : Object.fromEntries(tools),
  }
}

function listedValue(listed: Listed | null): JsonObject {
  if (listed === null) return { started: false }
  if (!listed.ok) return { started: true, problem: listed.detail }
  return { started: true, tools: listed.tools.map(({ name, effects }) => ({ name, effects: [...effects] })) }
}

function toolRows(probed: Shown['probed']): readonly (readonly string[])[] {
  return [...(probed ?? [])].flatMap(([server, listed]) => {
    if (listed === null) return [[server, 'not started', 'switched off in its client']]
    if (!listed.ok) return [[server, 'did not answer', listed.detail]]
    return listed.tools.map(({ name, effects }) => [server, name, effects.join(', ')])
  })
}

function reachOf({ config }: Pick<PlannedServer, 'config'> & Partial<PlannedServer>): string {
  return 'url' in config ? config.url : commandOf([config.command, ...config.args])
}

function noteOf({ disabled, notes }: Plan['adoptions'][number]): string {
  return [...(disabled ? ['switched off, stays so'] : []), ...notes].join('; ')
}

const commandOf = (words: readonly string[]): string => words.map(shellWord).join(' ')
const shellWord = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`

export function appliedLines(
  applied: Extract<Applied, { readonly ok: true }>,
  plan: Plan,
): readonly string[] {
  const files = applied.files.map(({ path }) => `  ${visible(path)}`)
  return [
    `Adopted ${count(plan.servers.length, 'server')} and moved ${count(plan.secrets.length, 'secret')}. Changed:`,
    ...files,
    `Backup (sealed): ${visible(applied.folder)}`,
    'Restart the clients. `countersign adopt --undo` puts every byte back.',
  ]
}

export function undoneLines(undone: Extract<Undone, { readonly kind: 'undone' }>): readonly string[] {
  return [
    ...undone.restored.map((path) => `${visible(path)}: as it was`),
    ...undone.merged.map((path) => `${visible(path)}: the old servers put back, later edits kept`),
    ...undone.notRemoved.map(
      (what) => `${visible(what)} could not be removed from the broker; remove it by hand`,
    ),
    'Restart the clients. The tokens are in their configurations again.',
  ]
}

const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`

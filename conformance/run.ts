import { compare, type Comparison } from './compare.ts'
import { cross, crossings, type Crossed } from './cross.ts'
import { parseArgs } from 'node:util'
import { reportAsText } from './report.ts'
import { requirementsOf, revisions, suiteVersion, type Found, type Revision } from './suite.ts'
import { runAsClient, type AsClient } from './asclient.ts'
import { runDirect, runThrough } from './through.ts'
import { runReal, type Real } from './real.ts'

/** `npm run conformance [-- --json] [--real] [--only sets|cross|client]`. Exit code 1 when something is lost. */

export type SetResult = Comparison & {
  readonly requirements: Revision
  /** Of the scenarios that decide conformance. */
  readonly scored: { readonly of: number; readonly through: number }
}

export type Result = {
  readonly suite: string
  readonly sets: readonly SetResult[]
  readonly cross: readonly Crossed[]
  readonly client: AsClient | null
  readonly real: Real | null
}

const parts = ['sets', 'cross', 'client'] as const
type Part = (typeof parts)[number]

const told = (line: string): void => void process.stderr.write(`${line}\n`)

async function runAll(wanted: readonly Part[], real: boolean): Promise<Result> {
  const directs = new Map<Revision, Found>()
  const sets: SetResult[] = []
  if (wanted.includes('sets') || wanted.includes('cross')) {
    for (const requirements of revisions) {
      told(`suite ${requirements}: directly`)
      directs.set(requirements, await runDirect(requirements))
    }
  }
  for (const [requirements, direct] of wanted.includes('sets') ? directs : []) {
    told(`suite ${requirements}: through the broker`)
    sets.push(await setOf(requirements, direct))
  }
  const crossed: Crossed[] = []
  for (const crossing of wanted.includes('cross') ? crossings : []) {
    told(`suite ${crossing.client}: through the broker to a ${crossing.server} server`)
    crossed.push(await cross(crossing, directs.get(crossing.client) ?? new Map()))
  }
  return {
    suite: await suiteVersion(),
    sets,
    cross: crossed,
    client: wanted.includes('client') ? await runAsClient(told) : null,
    real: real ? await runReal(told) : null,
  }
}

async function setOf(requirements: Revision, direct: Found): Promise<SetResult> {
  const through = await runThrough({ revision: requirements, eras: 'both' })
  const { server } = await requirementsOf(requirements)
  const required = (found: Found): Found => new Map([...found].filter(([name]) => server.includes(name)))
  const compared = compare(direct, through)
  const { through: passed } = compare(required(direct), required(through))
  return { requirements, ...compared, scored: { of: server.length, through: passed } }
}

/** The last line of `--json`. Names are the contract of whoever reads it. */
const jsonOf = ({ suite, sets, cross: crossed, client, real }: Result): object => ({
  suite,
  sets: sets.map(({ requirements, direct, through, lost, quiet, scored }) => ({
    requirements,
    direct_passed: direct,
    through_passed: through,
    lost: lost.map(({ id }) => id),
    optional: quiet,
    scored: { of: scored.of, through_passed: scored.through },
  })),
  cross: crossed.map((one) => ({
    client: one.client,
    server: one.server,
    passed: one.through,
    lost: one.lost.map(({ id }) => id),
    excepted: one.excepted,
  })),
  ...(client === null
    ? {}
    : {
        client: {
          passed: client.passed,
          failed: client.failed.map(({ revision, scenario, id }) => `${revision} ${scenario}:${id}`),
          unconcerned: client.unconcerned,
        },
      }),
  ...(real === null ? {} : { real }),
})

const isWhole = ({ sets, cross: crossed, client, real }: Result): boolean =>
  [...sets, ...crossed].every(({ lost }) => lost.length === 0) &&
  (client?.failed.length ?? 0) === 0 &&
  (real?.failed.length ?? 0) === 0

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      json: { type: 'boolean', default: false },
      real: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true },
    },
  })
  const only = values.only?.flatMap((one) => one.split(',')) ?? []
  const unknown = only.find((one) => !parts.some((part) => part === one))
  if (unknown !== undefined) {
    process.stderr.write(
      `error: expected \`--only\` with ${parts.join(', ')}, found \`${unknown}\`\nhint: npm run conformance -- --only sets\n`,
    )
    process.exit(2)
  }
  // `--real` alone runs the real clients and servers; with `--only`, these beside it.
  const wanted = only.length > 0 ? parts.filter((part) => only.includes(part)) : values.real ? [] : parts
  const result = await runAll(wanted, values.real)
  process.stdout.write(reportAsText(result))
  if (values.json) process.stdout.write(`${JSON.stringify(jsonOf(result))}\n`)
  process.exitCode = isWhole(result) ? 0 : 1
}

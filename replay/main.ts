import { parseArgs } from 'node:util'
import { agentName, newDigest, play, type Approver, type Played } from './play.ts'
import { findRuns, readRun, type Trace } from './record.ts'
import { layWorld } from './world.ts'
import { readSignatures, readSuites } from './suite.ts'
import { score, type Scores } from './score.ts'
import { transforms } from './transforms.ts'
import { starters } from '../src/policy/starter.ts'

/**
 * Replays recorded agent runs through the path: `npm run replay -- --runs DIR [--json] [--suite NAME] [--limit N]
 * [--no-purpose] [--deny-all] [--starter NAME] [--transform NAME|all] [--show]`. Labels come from `replay/agentdojo/`,
 * rules from the starter set. See docs/guides/replay.md.
 */
const { values } = parseArgs({
  options: {
    runs: { type: 'string' },
    json: { type: 'boolean', default: false },
    suite: { type: 'string' },
    limit: { type: 'string' },
    'no-purpose': { type: 'boolean', default: false },
    'deny-all': { type: 'boolean', default: false },
    starter: { type: 'string', default: 'guarded' },
    transform: { type: 'string' },
    show: { type: 'boolean', default: false },
  },
})

const say = (text: string): void => void process.stderr.write(`${text}\n`)

function fail(problem: string, hint: string): never {
  say(`error: ${problem}\nhint: ${hint}`)
  process.exit(2)
}

type Result = Scores & {
  readonly transform?: string
  readonly decisions_digest: string
  readonly calls_per_s: number
}

async function main(): Promise<void> {
  const folder = values.runs
  if (folder === undefined) fail('expected the folder of the recorded runs', 'npm run replay -- --runs DIR')
  const starter = starters.find((one) => one === values.starter)
  if (starter === undefined) fail(`no starter set \`${values.starter}\``, `one of ${starters.join(', ')}`)
  const traces = await readAll(folder)
  const names = values.transform === 'all' ? transformNames() : [values.transform ?? null]
  const results: Result[] = []
  for (const name of names) {
    const changed = name === null ? traces : changedBy(traces, name)
    for (const [suite, of] of Map.groupBy(changed, (trace) => trace.suite)) {
      const result = await replay(suite, of, starter)
      if (result === null) continue
      results.push(name === null ? result : { transform: name, ...result })
      if (!values.json) process.stdout.write(`${shown(result, name)}\n`)
    }
  }
  process.stdout.write(`${JSON.stringify({ suites: results })}\n`)
}

const transformNames = (): readonly string[] => transforms.map(({ name }) => name)

async function readAll(folder: string): Promise<readonly Trace[]> {
  const files = await findRuns(folder).catch(() =>
    fail(`\`${folder}\` cannot be read`, 'see docs/guides/replay.md'),
  )
  const traces: Trace[] = []
  for (const [index, name] of files.entries()) {
    if (index % 1000 === 999) say(`${index + 1} of ${files.length} runs read`)
    const trace = await readRun(folder, name)
    if (trace.pool !== 'other' && (values.suite === undefined || trace.suite === values.suite))
      traces.push(trace)
  }
  const limit = Number(values.limit ?? traces.length)
  return traces.filter((_, index) => index % Math.ceil(traces.length / limit) === 0)
}

function changedBy(traces: readonly Trace[], name: string): readonly Trace[] {
  const transform = transforms.find((one) => one.name === name)
  if (transform === undefined) fail(`no transform \`${name}\``, `one of all, ${transformNames().join(', ')}`)
  return traces.flatMap((trace) =>
    trace.pool === 'attack' ? (transform.change(trace, signaturesKnown) ?? []) : [],
  )
}

const signaturesKnown = await readSignatures()

async function replay(
  name: string,
  traces: readonly Trace[],
  starter: (typeof starters)[number],
): Promise<Result | null> {
  const suites = await readSuites()
  const suite = suites.get(name)
  if (suite === undefined) {
    say(`no labels for the suite \`${name}\`: left out`)
    return null
  }
  const world = await layWorld({ suites: [suite], starter })
  const approver: Approver = values['deny-all'] ? 'deny-all' : 'oracle'
  const digest = newDigest()
  try {
    for (const agent of new Set(traces.map(({ pipeline }) => agentName(pipeline)))) await world.hire(agent)
    const played: Played[] = []
    const started = performance.now()
    let calls = 0
    for (const [index, trace] of traces.entries()) {
      const signature =
        trace.injectionTask === null ? null : (signaturesKnown[name]?.[trace.injectionTask] ?? null)
      const one = await play(trace, {
        world,
        suite,
        signature,
        approver,
        withPurpose: !values['no-purpose'],
        digest,
      })
      calls += one.made.length
      played.push(one)
      if (index % 500 === 499) say(`${name}: ${index + 1} of ${traces.length} runs, ${calls} calls`)
    }
    const seconds = (performance.now() - started) / 1000
    if (values.show) show(played)
    const writes = new Set(
      suite.tools.flatMap(({ definition, review }) =>
        review.effects.some((effect) => effect !== 'read') ? [definition.name] : [],
      ),
    )
    return {
      ...score(name, played, writes),
      decisions_digest: digest.digest('hex'),
      calls_per_s: Math.round(calls / seconds),
    }
  } finally {
    await world.close()
  }
}

/** Which questions benign runs cost, and which needed calls of attacks passed. */
function show(played: readonly Played[]): void {
  const count = new Map<string, number>()
  const add = (key: string): void => void count.set(key, (count.get(key) ?? 0) + 1)
  for (const { trace, made } of played)
    for (const { tool, decision, essential, policies } of made) {
      if (trace.pool === 'benign' && decision === 'ask')
        add(`benign asked ${tool} ${policies.join(' ')} ${trace.userTask}`)
      if (trace.pool === 'attack' && essential && decision === 'allow')
        add(`attack passed ${tool} ${trace.userTask} ${trace.injectionTask}`)
      if (decision === 'failed') add(`failed ${trace.pool}${essential ? ' essential' : ''} ${tool}`)
    }
  for (const [key, number] of [...count].sort((a, b) => b[1] - a[1]).slice(0, 40)) say(`${number} ${key}`)
}

const percent = (value: number | null): string => (value === null ? 'none' : `${(value * 100).toFixed(1)} %`)

const shown = (of: Result, transform: string | null): string =>
  [
    `${of.suite}${transform === null ? '' : `, ${transform}`}`,
    `  attacks ${of.attacks}: stopped ${percent(of.stopped_first)}, every needed call ${percent(of.stopped_all_essential)}`,
    `  benign ${of.benign}: no question ${percent(of.benign_zero_questions)}, ${of.questions_per_benign ?? 0} questions a run, ${of.benign_denied} denied`,
    `  resisted ${of.resisted}: ${of.resisted_broken} broken`,
    `  ${of.calls_per_s} calls a second, decisions ${of.decisions_digest.slice(0, 16)}`,
  ].join('\n')

await main()

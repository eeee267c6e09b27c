import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { runTarget, type Ran } from './watch.ts'
import { targets } from './targets.ts'
import { writeFinding } from './corpus.ts'
import type { Entry } from './target.ts'

/**
 * `npm run fuzz [-- --inputs N --target T --seed S --minutes M --jobs J --keep --json]`
 *
 * Without arguments a million inputs over all targets, by their shares. What breaks a property is made small and written
 * to `fuzz/findings/`. Ends with 1 when there is a finding. `--keep` replaces `fuzz/corpus/` by the fewest inputs that
 * reach as much as all that were found.
 */
const { values } = parseArgs({
  options: {
    inputs: { type: 'string', default: '1000000' },
    target: { type: 'string', multiple: true, default: [] },
    seed: { type: 'string', default: String(Math.floor(Date.now() / 1000)) },
    minutes: { type: 'string' },
    jobs: { type: 'string', default: String(Math.min(4, availableParallelism())) },
    keep: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
})

const wrong = (words: string): never => {
  process.stderr.write(
    `error: ${words}\nhint: node fuzz/main.ts --inputs 10000 --target ${targets[0]?.name}\n`,
  )
  return process.exit(2)
}

const number = (name: string, given: string): number => {
  const found = Number(given)
  return Number.isFinite(found) && found >= 0
    ? found
    : wrong(`expected \`--${name}\` to be a number, found \`${given}\``)
}

const inputs = number('inputs', values.inputs)
const seed = number('seed', values.seed)
const minutes = values.minutes === undefined ? null : number('minutes', values.minutes)
const jobs = Math.max(1, number('jobs', values.jobs))
const unknown = values.target.find((name) => !targets.some((entry) => entry.name === name))
if (unknown !== undefined)
  wrong(`expected one of ${targets.map(({ name }) => `\`${name}\``).join(', ')}, found \`${unknown}\``)
const chosen = targets.filter(({ name }) => values.target.length === 0 || values.target.includes(name))
const shares = chosen.reduce((sum, { share }) => sum + share, 0)

/** A target's part of the inputs, and of the time when there is a limit to it. */
async function one(entry: Entry): Promise<Ran> {
  const part = entry.share / shares
  const until =
    minutes === null ? null : Date.now() + minutes * 60_000 * Math.min(1, (jobs * 1) / chosen.length)
  const ran = await runTarget(entry, {
    seed,
    inputs: Math.ceil(inputs * part),
    until,
    keep: values.keep,
    onProgress: (now) =>
      process.stderr.write(
        `${entry.name}: ${now.inputs} inputs, ${now.pool} in the pool, ${now.covered} characters reached, ${now.findings} findings\n`,
      ),
  })
  for (const finding of ran.findings) {
    const path = writeFinding(finding)
    process.stderr.write(`FOUND ${finding.target}: ${finding.what}\n  ${path}\n`)
  }
  return ran
}

async function all(): Promise<readonly Ran[]> {
  const rest = [...chosen]
  const ran: Ran[] = []
  const lane = async (): Promise<void> => {
    for (let entry = rest.shift(); entry !== undefined; entry = rest.shift()) ran.push(await one(entry))
  }
  await Promise.all(Array.from({ length: jobs }, lane))
  return ran
}

const start = Date.now()
const ran = await all()
const found = ran.reduce((sum, { findings }) => sum + findings.length, 0)
if (!values.json) {
  for (const { target, inputs: ended, kept, findings } of ran)
    process.stdout.write(`${target.padEnd(12)} ${String(ended).padStart(9)} inputs ${String(kept).padStart(5)} kept ${findings.length === 0 ? 'nothing found' : `${findings.length} FOUND`}\n`) // prettier-ignore
  process.stdout.write(`seed ${seed}, ${Math.round((Date.now() - start) / 1000)} s\n`)
}
process.stdout.write(
  `${JSON.stringify({
    targets: ran.map(({ target, inputs: ended, kept, findings }) => ({
      target,
      inputs: ended,
      kept,
      findings: findings.length,
    })),
    inputs: ran.reduce((sum, { inputs: ended }) => sum + ended, 0),
    findings: found,
  })}\n`,
)
process.exitCode = found === 0 ? 0 : 1

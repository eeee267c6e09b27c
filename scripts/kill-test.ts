import { readFile } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import {
  agentNames,
  furnishPlace,
  makePlace,
  serverNames,
  type EngineName,
  type Place,
} from './kill/place.ts'
import { check, decide, isSound } from './kill/verdict.ts'
import { noTruth } from './kill/truth.ts'
import { randomFrom, type Random } from './kill/random.ts'
import { runLoad } from './kill/load.ts'
import { startBrokerProcess, startUpstreamProcess, type BrokerProcess } from './kill/child.ts'
import { startDatabase } from './kill/database.ts'

/**
 * Kills a broker under load, again and again, and then asks servers, agents and the person whether what the broker says
 * is what happened. `npm run kill-test [-- --json] [--kills N] [--engine sqlite|postgres] [--seed S]`.
 */
const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    kills: { type: 'string', default: '200' },
    engine: { type: 'string', default: 'sqlite' },
    seed: { type: 'string' },
  },
})

type Run = {
  readonly place: Place
  readonly vkey: string
  readonly random: Random
  readonly say: (text: string) => void
}

/** How long a broker may take until it serves. A start that takes longer is a finding, not a reason to wait. */
const startMs = 60_000
/** Between a kill and the next look at store and log, in kills. */
const every = 25

const wholeNumber = (text: string, name: string, most: number): number => {
  const number = Number(text)
  if (Number.isSafeInteger(number) && number >= 0 && number <= most) return number
  process.stderr.write(
    `error: expected a whole number up to ${most} after \`--${name}\`\nhint: --${name} 200\n`,
  )
  process.exit(2)
}

const engineNamed = (name: string): EngineName => {
  if (name === 'sqlite' || name === 'postgres') return name
  process.stderr.write('error: expected `sqlite` or `postgres` after `--engine`\nhint: --engine sqlite\n')
  process.exit(2)
}

await main()

async function main(): Promise<void> {
  const kills = wholeNumber(values.kills, 'kills', 10_000)
  const seed = wholeNumber(values.seed ?? String(Date.now() % 2 ** 32), 'seed', 2 ** 32 - 1)
  const say = (text: string): void => void process.stderr.write(`${text}\n`)
  say(`seed ${seed}: \`--seed ${seed}\` makes the same choices again`)
  const database = engineNamed(values.engine) === 'postgres' ? await startDatabase() : null
  const upstreams = [await startUpstreamProcess(0), await startUpstreamProcess(60)]
  const place = await makePlace({
    upstreams: upstreams.map(({ url }) => url),
    store: database?.store ?? null,
  })
  try {
    const run: Run = { place, vkey: await furnishPlace(place), random: randomFrom(seed), say }
    const truth = noTruth()
    const kept = await killAgainAndAgain(run, truth, kills)
    const seen = Object.assign({}, ...(await Promise.all(upstreams.map((one) => one.seen()))))
    const { verdict, problems } = await decide({ place, vkey: run.vkey, truth, seen, kills, kept })
    for (const problem of problems.slice(0, 50)) say(problem)
    if (!values.json) say(isSound(verdict) ? 'ok' : 'FAILED')
    process.stdout.write(`${JSON.stringify(verdict)}\n`)
    if (!isSound(verdict)) process.exitCode = 1
  } finally {
    await Promise.all(upstreams.map((one) => one.end()))
    await place.end()
    await database?.end()
  }
}

/** Gives heads of the log as they were seen on the way. */
async function killAgainAndAgain(
  run: Run,
  truth: ReturnType<typeof noTruth>,
  kills: number,
): Promise<readonly string[]> {
  const { place, random, say } = run
  const [node] = place.nodes
  if (node === undefined) throw new TypeError('expected a node')
  const stop = new AbortController()
  const running: { broker: BrokerProcess | null } = { broker: null }
  const load = runLoad({
    truth,
    random,
    agents: await agentsOf(place),
    servers: serverNames,
    base: () => node.base,
    terminal: () => running.broker,
    signal: stop.signal,
  })
  const kept: string[] = []
  const started = performance.now()
  for (let kill = 1; kill <= kills; kill += 1) {
    running.broker = startBrokerProcess(node.file, place.env)
    await live(running.broker, random)
    await running.broker.kill()
    const head = await readFile(join(node.loaded.config.home, 'log', 'checkpoint'), 'utf8').catch(() => null)
    if (head !== null && kill % every === 1) kept.push(head)
    if (kill % every === 0) await lookBetween(run, { kill, kills, truth, started })
  }
  running.broker = startBrokerProcess(node.file, place.env)
  await within(running.broker.ready, startMs)
  await wait(500)
  stop.abort()
  await load
  await settled(running.broker)
  say(`${truth.told.length} calls told; the last broker ends`)
  await running.broker.close()
  return kept
}

/**
 * Once in eight it dies while it starts; once in eight it lives long enough for what happens by itself, once a second;
 * else it serves for a moment that nobody chose.
 */
async function live(broker: BrokerProcess, random: Random): Promise<void> {
  const kind = random.between(1, 8)
  if (kind === 1) return wait(random.between(0, 900))
  await within(broker.ready, startMs)
  await wait(kind === 2 ? random.between(1000, 2200) : random.between(0, 700))
}

/** With nobody running: whatever the last one left must hold, but for what the next start settles. */
async function lookBetween(
  { place, vkey, say }: Run,
  at: { kill: number; kills: number; truth: ReturnType<typeof noTruth>; started: number },
): Promise<void> {
  const report = await check(place, vkey)
  const { kill, kills, truth, started } = at
  const seconds = Math.round((performance.now() - started) / 1000)
  say(`${kill} of ${kills} kills, ${truth.told.length} calls, ${report.size} entries, ${seconds} s`)
  for (const { code, what, call } of report.findings.slice(0, 10)) say(`  ${code}: ${what} ${call ?? ''}`)
  if (!report.ok) throw new Error(`after kill ${kill} the store is not whole`)
}

/** What is owed is paid within a second or two; with several nodes, when the dead one is known to be dead. */
async function settled(broker: BrokerProcess): Promise<void> {
  for (let n = 0; n < 5 && broker.isAlive(); n += 1) await wait(300)
}

async function within<T>(promise: Promise<T>, ms: number): Promise<T> {
  const late = new AbortController()
  const tooLate = wait(ms, undefined, { signal: late.signal }).then(() => {
    throw new Error(`expected it within ${ms} ms`)
  })
  tooLate.catch(() => undefined)
  return Promise.race([promise, tooLate]).finally(() => late.abort())
}

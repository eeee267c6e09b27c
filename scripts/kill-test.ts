import { readFile } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import {
  furnishPlace,
  makePlace,
  serverNames,
  type EngineName,
  type NodePlace,
  type Place,
} from './kill/place.ts'
import { agentsOf } from './kill/scene.ts'
import { check, decide, isSound, openOn } from './kill/verdict.ts'
import { noTruth, type Truth } from './kill/truth.ts'
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
  readonly node: NodePlace
  readonly vkey: string
  readonly random: Random
  readonly truth: Truth
  readonly kills: number
  readonly running: { broker: BrokerProcess | null }
}

/** How long a broker may take until it serves. A start that takes longer is a finding, not a reason to wait. */
const startMs = 60_000
/** After so many kills store and log are looked at, with nobody running. */
const every = 25

/** At the end every intent must get its outcome; where a node may live elsewhere, half a minute of silence comes first. */
const settleMs = 90_000

const say = (text: string): void => void process.stderr.write(`${text}\n`)

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

/** What went wrong in words, or null: a run that breaks off is judged like one that does not. */
async function killAgainAndAgain(run: Run, kept: string[]): Promise<string | null> {
  const { node, running, random, truth, kills, place } = run
  const stop = new AbortController()
  const load = runLoad({
    truth,
    random,
    agents: await agentsOf(place),
    servers: serverNames,
    base: () => node.base,
    terminal: () => running.broker,
    signal: stop.signal,
  })
  const started = performance.now()
  try {
    for (let kill = 1; kill <= kills; kill += 1) {
      running.broker = startBrokerProcess(node.file, place.env)
      await live(running.broker, random)
      await running.broker.kill()
      const head = await readFile(join(node.loaded.config.home, 'log', 'checkpoint'), 'utf8').catch(
        () => null,
      )
      if (head !== null && kill % every === 1) kept.push(head)
      if (kill % every === 0) await lookBetween(run, kill, Math.round((performance.now() - started) / 1000))
    }
    running.broker = startBrokerProcess(node.file, place.env)
    await within(running.broker.ready, startMs)
    // Once more everything, on a broker that nobody kills.
    await wait(500)
  } catch (problem) {
    return problem instanceof Error ? problem.message : 'something failed'
  } finally {
    stop.abort()
    await load
  }
  return endInOrder(run)
}

async function endInOrder({ place, running }: Run): Promise<string | null> {
  const { broker } = running
  for (const end = performance.now() + settleMs; performance.now() < end; await wait(200))
    if ((await openOn(place)).length === 0) break
  return broker === null
    ? null
    : broker.close().then(
        () => null,
        (problem: unknown) => (problem instanceof Error ? problem.message : 'the broker did not end'),
      )
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

/** Whatever the last one left must hold, but for what the next start settles. */
async function lookBetween({ place, vkey, kills, truth }: Run, kill: number, seconds: number): Promise<void> {
  const report = await check(place, vkey)
  const { intents } = report.checked
  say(`${kill} of ${kills} kills, ${truth.told.length} answers, ${intents} intents, ${seconds} s`)
  for (const { code, what, call } of report.findings.slice(0, 10)) say(`  ${code}: ${what} ${call ?? ''}`)
  if (!report.ok) throw new Error(`after kill ${kill} the store is not whole`)
}

async function within<T>(promise: Promise<T>, ms: number): Promise<T> {
  const late = new AbortController()
  const tooLate = wait(ms, undefined, { signal: late.signal }).then(() => {
    throw new Error(`expected a broker that serves within ${ms} ms`)
  })
  tooLate.catch(() => undefined)
  return Promise.race([promise, tooLate]).finally(() => late.abort())
}

async function main(): Promise<void> {
  const kills = wholeNumber(values.kills, 'kills', 10_000)
  const seed = wholeNumber(values.seed ?? String(Date.now() % 2 ** 32), 'seed', 2 ** 32 - 1)
  const engine = engineNamed(values.engine)
  say(`seed ${seed}: \`--seed ${seed}\` makes the same choices again`)
  const ends: (() => Promise<unknown>)[] = []
  try {
    await play({ kills, seed, engine }, ends)
  } finally {
    for (const end of ends.toReversed())
      await end().catch((problem: unknown) =>
        say(problem instanceof Error ? problem.message : 'it did not end'),
      )
  }
}

async function play(
  { kills, seed, engine }: { readonly kills: number; readonly seed: number; readonly engine: EngineName },
  ends: (() => Promise<unknown>)[],
): Promise<void> {
  const database = engine === 'postgres' ? await startDatabase() : null
  if (database !== null) ends.push(() => database.end())
  const upstreams = [await startUpstreamProcess(0), await startUpstreamProcess(60)]
  ends.push(() => Promise.all(upstreams.map((one) => one.end())))
  const urls = upstreams.map(({ url }) => url)
  const place = await makePlace({ upstreams: urls, store: database?.store ?? null })
  ends.push(() => place.end())
  const vkey = await furnishPlace(place)
  const [node] = place.nodes
  if (node === undefined) throw new TypeError('expected a node')
  const running: Run['running'] = { broker: null }
  ends.push(async () => running.broker?.kill())
  const truth = noTruth()
  const kept: string[] = []
  const run = { place, node, vkey, truth, kills, running, random: randomFrom(seed) }
  const broken = await killAgainAndAgain(run, kept)
  await running.broker?.kill()
  const seen = Object.assign({}, ...(await Promise.all(upstreams.map((one) => one.seen()))))
  const { verdict, problems } = await decide({ place, vkey, truth, seen, kills, kept })
  for (const problem of [broken ?? [], problems.slice(0, 50)].flat()) say(problem)
  const last = broken === null ? verdict : { ...verdict, verify: broken }
  if (!values.json) say(isSound(last) ? 'ok' : 'FAILED')
  process.stdout.write(`${JSON.stringify(last)}\n`)
  if (!isSound(last)) process.exitCode = 1
}

await main()

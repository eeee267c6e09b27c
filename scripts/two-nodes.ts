import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { decide, isSound } from './kill/verdict.ts'
import { randomFrom } from './kill/random.ts'
import { runLoad } from './kill/load.ts'
import { serverNames } from './kill/place.ts'
import { setScene, type Node, type Scene } from './kill/scene.ts'
import { startBrokerProcess } from './kill/child.ts'
import type { Told } from './kill/agent.ts'

/**
 * Two nodes on one PostgreSQL, under load: one is killed, the way to the database is cut, the database restarts and
 * crashes. Nothing is done by hand: what is away is refused while it lasts, and goes on by itself. Then servers, agents
 * and the person are asked whether what the log says is what happened.
 * `node scripts/two-nodes.ts [--json] [--rounds N] [--seed S]`.
 */
const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '1' },
    seed: { type: 'string' },
  },
})

/** A node that is away says so within so long; one that is back serves within so long. Milliseconds. */
const awayMs = 60_000
const backMs = 40_000
/** A dead node is taken for dead after its heartbeat ran out, and then its calls get their outcome. */
const takenOverMs = 90_000

const say = (text: string): void => void process.stderr.write(`${text}\n`)
const started = performance.now()
const told = (text: string): void => say(`${((performance.now() - started) / 1000).toFixed(1)} s  ${text}`)

const serves = ({ kind }: Told): boolean => kind === 'done'
/** Refused by what the node itself knows, as it must be while it cannot record. */
const isRefused = (one: Told): boolean =>
  (one.kind === 'refused' && one.code === 'audit-unavailable') ||
  (one.kind === 'turned' && (one.status === 503 || one.status === 429))

async function until(what: string, ms: number, holds: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + ms
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`expected within ${ms / 1000} s: ${what}`)
    await wait(200)
  }
  told(what)
}

/** Asks a node until it answers so. What it answered before is said: it tells more than that it did not. */
async function answers(
  what: string,
  ms: number,
  by: { readonly asked: () => Promise<Told>; readonly so: (one: Told) => boolean },
): Promise<void> {
  const others = new Map<string, number>()
  const wanted = async (): Promise<boolean> => {
    const one = await by.asked()
    const words = 'code' in one ? one.code : 'status' in one ? `status ${one.status}` : one.kind
    if (!by.so(one)) others.set(words, (others.get(words) ?? 0) + 1)
    return by.so(one)
  }
  await until(what, ms, wanted).finally(() => {
    if (others.size > 0) told(`  (before that: ${[...others].map(([said, n]) => `${said} ${n}`).join(', ')})`)
  })
}

const served = (scene: Scene, node: Node): Promise<void> =>
  answers(`${node.name} serves`, backMs, { asked: () => scene.probe(node), so: serves })

const refused = (scene: Scene, node: Node): Promise<void> =>
  answers(`${node.name} refuses what it cannot record`, awayMs, {
    asked: () => scene.probe(node),
    so: isRefused,
  })

async function killOne(scene: Scene): Promise<void> {
  const [first, second] = scene.nodes
  const { name } = await second.broker.ready
  await until('the second has calls in flight', backMs, async () => (await scene.inFlight(name)) > 0)
  await second.broker.kill()
  told(`the second is killed, and has left ${await scene.inFlight(name)} calls`)
  await served(scene, first)
  const isSettled = async (): Promise<boolean> => (await scene.waiting()) === 0
  await until('the first has settled what the second left', takenOverMs, isSettled)
  second.broker = startBrokerProcess(second.file, scene.place.env)
  await second.broker.ready
  await served(scene, second)
}

async function cutOne(scene: Scene, at: 0 | 1, how: 'late' | 'gone'): Promise<void> {
  const node = scene.nodes[at]
  node.proxy.cut()
  told(`the way of ${node.name} to the database is cut`)
  await refused(scene, node)
  await served(scene, scene.nodes[at === 0 ? 1 : 0])
  node.proxy.heal(how)
  told(`the way is there again; what was sent ${how === 'late' ? 'arrives late' : 'is lost'}`)
  await served(scene, node)
}

async function restart(scene: Scene, how: 'stop' | 'crash'): Promise<void> {
  const { nodes, database } = scene
  await database[how]()
  told(how === 'stop' ? 'the database is stopped' : 'the database has crashed')
  for (const node of nodes) await refused(scene, node)
  await database.start()
  told('the database is started')
  for (const node of nodes) await served(scene, node)
}

type Done = { kills: number; cuts: number; restarts: number }

async function playRounds(scene: Scene, rounds: number): Promise<Done> {
  const done = { kills: 0, cuts: 0, restarts: 0 }
  for (const node of scene.nodes) await served(scene, node)
  for (let round = 0; round < rounds; round += 1) {
    await killOne(scene)
    await cutOne(scene, 0, 'late')
    await cutOne(scene, 1, 'gone')
    await restart(scene, 'stop')
    await restart(scene, 'crash')
    done.kills += 1
    done.cuts += 2
    done.restarts += 2
  }
  return done
}

/** Plays under load until the rounds are over; then the last call gets its outcome, and both nodes end in order. */
async function play(scene: Scene, rounds: number, seed: number): Promise<Done> {
  const [first, second] = scene.nodes
  const random = randomFrom(seed)
  const stop = new AbortController()
  const load = runLoad({
    truth: scene.truth,
    random,
    agents: scene.agents,
    servers: serverNames,
    base: () => random.pick([first.base, second.base]),
    terminal: () => random.pick([first, second]).broker,
    signal: stop.signal,
  })
  let done: Awaited<ReturnType<typeof playRounds>>
  try {
    done = await playRounds(scene, rounds)
  } finally {
    stop.abort()
    await load
  }
  await until('every call has its outcome', takenOverMs, async () => (await scene.open()) === 0)
  for (const { broker } of scene.nodes) await broker.close()
  return done
}

async function main(): Promise<void> {
  const rounds = Math.min(100, Math.max(1, Number(values.rounds) || 1))
  const seed = Number(values.seed ?? Date.now() % 2 ** 32) >>> 0
  say(`seed ${seed}: \`--seed ${seed}\` makes the same choices again`)
  const ends: (() => Promise<unknown>)[] = []
  try {
    const scene = await setScene(ends)
    const done = await play(scene, rounds, seed)
    const { place, vkey, truth } = scene
    const given = { place, vkey, truth, seen: await scene.seen(), kills: done.kills, kept: [] }
    const { verdict, problems } = await decide(given)
    for (const problem of problems.slice(0, 50)) say(problem)
    const away = truth.told.filter(({ told: one }) => isRefused(one)).length
    if (!values.json) say(isSound(verdict) ? 'ok' : 'FAILED')
    process.stdout.write(`${JSON.stringify({ ...done, ...verdict, refused_while_away: away })}\n`)
    if (!isSound(verdict)) process.exitCode = 1
  } finally {
    for (const end of ends.toReversed())
      await end().catch((problem: unknown) =>
        say(problem instanceof Error ? problem.message : 'it did not end'),
      )
  }
}

await main()

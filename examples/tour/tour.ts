import { bold, dim, green, red } from '../../src/cli/output.ts'
import { changeStep } from './steps/change.ts'
import { listStep } from './steps/list.ts'
import { outsideStep } from './steps/outside.ts'
import { play, worded } from './run.ts'
import { readStep } from './steps/read.ts'
import { recorder, storyteller, type Screen } from './show.ts'
import { secretStep } from './steps/secret.ts'
import { setTheScene, type Scene } from './scene.ts'
import { stopStep } from './steps/stop.ts'
import { tamperStep } from './steps/tamper.ts'
import { verifyStep } from './steps/verify.ts'
import { writeStep } from './steps/write.ts'

/**
 * `npm run tour`: an agent's day through the running path, every step beside its entries in the log. Real servers, real
 * clients, real traffic: what is broken in the path breaks the tour, which then ends with exit code 1 and says where.
 */
const steps = [
  listStep,
  readStep,
  writeStep,
  outsideStep,
  changeStep,
  secretStep,
  stopStep,
  verifyStep,
  tamperStep,
]

const json = process.argv.includes('--json')
/** Interrupted, or nobody reads any more: what is broken from then on says nothing about the product. */
const gone = new AbortController()
const screen: Screen = {
  out: (text) => void (gone.signal.aborted || process.stdout.write(text)),
  colour: process.stdout.isTTY && process.env['NO_COLOR'] === undefined,
}
const started = performance.now()
process.exitCode = await tour()

async function tour(): Promise<number> {
  const setting = setTheScene()
  const end = async () => (await setting).close()
  const interrupted = () => {
    if (gone.signal.aborted) return
    gone.abort()
    void end().finally(() => process.exit(130))
  }
  process.stdout.on('error', interrupted)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, interrupted)
  let scene: Scene
  try {
    scene = await setting
  } catch (problem) {
    return failed('set-up', worded(problem))
  }
  try {
    if (!json) introduce(scene)
    const teller = json ? recorder(screen.out) : storyteller(screen)
    const held = await play(steps, { scene, teller })
    if (!json) screen.out(`\n${held ? summary() : red(screen, ' the tour is broken: see above')}\n`)
    return held ? 0 : 1
  } finally {
    await scene.close()
  }
}

function introduce(scene: Scene): void {
  const { registry } = scene.broker.core
  const reviewed = registry.tools({ state: 'reviewed' }).length
  const lines = [
    bold(screen, ' An agent’s day, through Countersign'),
    ` agents’ endpoint ${scene.broker.urls.agents}/mcp, operators’ ${scene.broker.urls.operators}`,
    ` servers ${registry.servers().join(' and ')}, ${reviewed} reviewed definitions; policies guarded and tour`,
    dim(screen, ` The log holds ${scene.log.before} entries of the set-up; from #${scene.log.before} on all are shown, beside what caused them.`), // prettier-ignore
  ]
  screen.out(`${lines.join('\n')}\n`)
}

function summary(): string {
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  return green(screen, ` ${steps.length} of ${steps.length} steps held, in ${seconds} s.`)
}

function failed(step: string, problem: string): number {
  if (json) screen.out(`${JSON.stringify({ step: 0, name: step, ok: false, problem, beats: [] })}\n`)
  else screen.out(`${red(screen, ` BROKEN ${step}: ${problem}`)}\n`)
  return 1
}

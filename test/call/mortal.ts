import { newId } from '../../src/lib/id.ts'
import { hang, pathWorld, text } from './world.ts'

/**
 * A broker that is going to be killed: makes calls until then, some of which hang, and tells its parent of each that the
 * server saw and of each that was answered. Started by `death.test.ts`, which removes its folder.
 */
const world = await pathWorld()
const tell = (message: object): void => void process.send?.(message)
const task = await world.open()
tell({ home: world.home, task: task.id })
world.servers.script(async (outgoing) => {
  tell({
    reached: outgoing.call,
    path: String(outgoing.arguments['path']),
    tool: `${outgoing.server}/${outgoing.definition.name}`,
  })
  return String(outgoing.arguments['path']).startsWith('hang') ? hang(outgoing) : text('done')
})

async function lane(name: number): Promise<void> {
  for (let n = 0; n < 10_000; n += 1) {
    const call = newId('c')
    const path = n % 5 === 4 ? `hang-${name}-${n}` : `quick-${name}-${n}`
    const under = world.call(task, n % 2 === 0 ? 'bank/balance' : 'files/note', { path }, { call })
    const end = path.startsWith('hang') ? null : await under
    if (end !== null) tell({ ended: call, outcome: 'refused' in end ? end.code : end.outcome })
  }
}
await Promise.all([0, 1, 2, 3].map(lane))

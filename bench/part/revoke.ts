import { z } from 'zod'
import { median, pause, short } from '../stats.ts'
import type { Part } from '../part.ts'

const refusedSchema = z.object({ refused: z.number(), answered: z.number() })

/** From the kill to the first refused call, and to the last answer that still left. Calls go on all the while. */
export const revoke: Part = async ({ world, load, quick }) => {
  const rounds = quick ? 5 : 25
  const first: number[] = []
  const last: number[] = []
  for (let index = 0; index < rounds; index++) {
    const as = await world.callers(1)
    const watching = load.ask('untilRefused', refusedSchema, { port: world.ports.broker, as, ms: 10_000 })
    await pause(60)
    const killed = Number(process.hrtime.bigint()) / 1e6
    await world.broker.ask('revoke', z.null(), 'agent:agent-0')
    const { refused, answered } = await watching
    if (refused === 0) throw new Error('no call was refused after the kill')
    first.push(refused - killed)
    last.push(Math.max(0, answered - killed))
    await world.broker.ask('lift', z.null(), 'agent:agent-0')
  }
  return {
    revoke_p50_ms: short(median(first)),
    revoke_max_ms: short(Math.max(...first)),
    last_answer_after_kill_max_ms: short(Math.max(...last)),
  }
}

import { after } from 'node:test'
import { createActs } from '../../src/identity/actor.ts'
import { createKey } from '../../src/identity/key.ts'
import { createRecorder } from '../../src/audit/record.ts'
import { createRevocations } from '../../src/revocation/live.ts'
import { createTasks } from '../../src/task/tasks.ts'
import { join } from 'node:path'
import { openSqlite } from '../../src/store/sqlite.ts'
import { agentWith, movableClock, scratch, template } from '../identity/scratch.ts'

export const operator = { name: 'operator', proof: 'terminal' } as const

/** Tasks and revocations on a real store, with one agent. */
export async function world() {
  const clock = movableClock()
  const store = await openSqlite({ path: join(await scratch(), 'store.db'), clock })
  after(() => store.close())
  const acts = createActs({
    recorder: createRecorder({ fingerprintKey: new Uint8Array(32) }),
    clock,
    broker: `b_${'0'.repeat(22)}`,
  })
  const revocations = await createRevocations({ store: store.revocations, acts, clock })
  const closed: string[] = []
  const context: { current: { readonly [name: string]: string } } = { current: { policy: 'one' } }
  const tasks = createTasks({
    store: store.tasks,
    agents: store.agents,
    revocations,
    acts,
    clock,
    purposes: ['general', 'incident'],
    personTemplate: { ...template, lifetimeMs: 600_000 },
    labelsMemoryMs: 86_400_000,
    context: () => context.current,
    onClosed: (ids) => void closed.push(...ids),
  })
  const key = createKey()
  await store.agents.add(
    agentWith(key.publicKey),
    acts({ act: 'agent-added', subject: 'coder', detail: {} }, operator),
  )
  const entries = async (): Promise<readonly { readonly [name: string]: unknown }[]> =>
    (await store.log.read(0, 1000)).map(({ bytes }) => JSON.parse(new TextDecoder().decode(bytes)))
  return { clock, store, acts, revocations, tasks, closed, context, key, entries }
}

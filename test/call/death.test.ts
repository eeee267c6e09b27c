import assert from 'node:assert/strict'
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { recoverAtStart } from '../../src/compose/upkeep.ts'
import { demandInvariants, demandVerified } from './invariants.ts'
import { endOf, pathWorld, text } from './world.ts'

/** The process is killed while calls are in flight. Whatever it was doing, the next start tells the truth. */

type Told = {
  home: string
  task: string
  readonly reached: Map<string, { readonly path: string; readonly tool: string }>
  readonly ended: Map<string, string>
}
type Message = Partial<{
  home: string
  task: string
  reached: string
  path: string
  tool: string
  ended: string
  outcome: string
}>

async function killed(child: ChildProcess, after: number): Promise<Told> {
  const told: Told = { home: '', task: '', reached: new Map(), ended: new Map() }
  const gone = once(child, 'exit')
  child.on('message', ({ home, task, reached, path = '', tool = '', ended, outcome = '' }: Message) => {
    if (home !== undefined && task !== undefined) Object.assign(told, { home, task })
    if (reached !== undefined) told.reached.set(reached, { path, tool })
    if (ended !== undefined) told.ended.set(ended, outcome)
    if (told.reached.size >= after) child.kill('SIGKILL')
  })
  const [, signal] = await gone
  assert.equal(signal, 'SIGKILL')
  return told
}

describe('a broker that is killed with calls in flight', () => {
  for (const after of [3, 60]) {
    it(`I1 I2 I5: after ${after} calls leaves no call without an outcome, no lease open, and a log that verifies`, async (t) => {
      const child = fork(new URL('./mortal.ts', import.meta.url), {
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      })
      t.after(() => child.kill('SIGKILL'))
      const told = await killed(child, after)

      const w = await pathWorld({ home: told.home })
      t.after(() => w.close())
      w.clock.move(200_000)
      w.servers.script(() => text('done'))
      const settled = await recoverAtStart({ ground: w.ground, core: w.core, owed: w.owed, flood: w.flood })

      // I1: what the server saw has its intent. I2: what was told as done is done, the rest is unknown.
      for (const call of told.reached.keys()) {
        const [intent, outcome, ...more] = (await w.of(call)).filter(({ kind }) => kind !== 'refused')
        assert.deepEqual([intent?.['kind'], outcome?.['kind'], more.length], ['intent', 'outcome', 0], call)
        const ended = told.ended.get(call)
        if (ended !== undefined) assert.equal(outcome?.['outcome'], ended)
        else if (settled.includes(call)) assert.equal(outcome?.['outcome'], 'unknown')
      }
      await demandInvariants(w)
      await demandVerified(w)

      const lost = [...told.reached].find(
        ([call, { tool }]) => settled.includes(call) && tool === 'files/note',
      )
      const task = await w.core.tasks.get(told.task)
      assert.ok(task !== null)
      const done = [...told.reached].find(([call, { tool }]) => told.ended.has(call) && tool === 'files/note')
      if (lost)
        assert.equal(endOf(await w.call(task, 'files/note', { path: lost[1].path })), 'approval-required')
      if (done) assert.equal(endOf(await w.call(task, 'files/note', { path: done[1].path })), 'ok')
      assert.deepEqual(
        await recoverAtStart({ ground: w.ground, core: w.core, owed: w.owed, flood: w.flood }),
        [],
      )
    })
  }
})

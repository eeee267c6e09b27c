import { call, expectRefused, linesOf, type Came } from '../acts.ts'
import { entryOf, expect, expectEntries, list, text, type Step } from '../step.ts'
import type { Client } from '@modelcontextprotocol/client'
import type { Scene } from '../scene.ts'

type Tell = Parameters<Step['play']>[1]

const most = 100

/** Stopping reaches what is under way, and everything after it. */
export const stopStep: Step = {
  name: 'stop',
  title: 'The kill switch, and the end of a task',
  async play(scene, tell) {
    const clerk = await scene.client('clerk')
    await killSwitch(scene, tell, clerk)
    await taskEnd(scene, tell, clerk)
    await clientGone(scene, tell)
  },
}

/** Any operator's key stops everything: stopping takes authority away and must never be slowed down. */
async function killSwitch(scene: Scene, tell: Tell, clerk: Client): Promise<void> {
  const stop = () => scene.operators.send('POST', '/v1/revocations', { key: 'all', reason: 'the tour' })
  const counted = await interrupted(clerk, stop)
  expect(counted.came.refusal === 'unknown', 'the call under way to be cancelled', counted.came)
  expect(counted.reached < most, 'the count not to come to its end', counted.reached)
  const entries = await scene.log.fresh()
  expectEntries(entries, ['intent', 'act:revoked', 'outcome:unknown'])
  tell({
    who: 'person',
    did: `\`clerk\` has a tool count to ${most}. At ${counted.reached} the operator stops everything. What the agent gets:`,
    came: linesOf(counted.came),
    entries,
  })

  const next = await call(clerk, { tool: 'playground__notes_search', arguments: { words: 'plan' } })
  expectRefused(next, 'revoked')
  const refused = await scene.log.fresh()
  expectEntries(refused, ['refused:revoked'])
  tell({ who: 'agent', did: '`clerk` makes its next call.', came: linesOf(next), entries: refused })

  const { passphrase } = scene
  await scene.operators.send('DELETE', '/v1/revocations/all', { reason: 'all is well' }, { passphrase })
  const again = await call(clerk, { tool: 'playground__notes_search', arguments: { words: 'plan' } })
  expect(!again.isError, 'calls to work again once the stop is lifted', again)
  const lifted = await scene.log.fresh()
  expectEntries(lifted, ['act:revocation-lifted', 'intent', 'outcome:ok'])
  tell({
    who: 'person',
    did: 'The operator lifts it, which takes the passphrase. `clerk` calls again, and is answered.',
    came: linesOf(again),
    entries: lifted,
  })
}

async function taskEnd(scene: Scene, tell: Tell, clerk: Client): Promise<void> {
  const open = list(await scene.operators.get('/v1/tasks', { agent: 'clerk', state: 'open' }), 'tasks')
  expect(open.length === 1, 'one open task of `clerk`', open)
  const task = text(open[0], 'id')
  const close = () => scene.operators.send('DELETE', `/v1/tasks/${task}`, { because: 'the work is done' })
  const counted = await interrupted(clerk, close)
  expect(counted.came.isError && counted.reached < most, 'the call under way to be cancelled', counted)
  const entries = await scene.log.fresh()
  expectEntries(entries, ['intent', 'act:task-closed', 'outcome:unknown'])
  tell({
    who: 'person',
    did: 'The operator ends the task while a call of it is under way.',
    came: linesOf(counted.came),
    entries,
  })

  const next = await call(clerk, { tool: 'playground__notes_search', arguments: { words: 'plan' } })
  expectRefused(next, 'task-closed')
  const refused = await scene.log.fresh()
  expectEntries(refused, ['refused:task-closed'])
  const { entry } = entryOf(refused, 'refused:task-closed')
  expect(entry['task'] === task && entry['stage'] === 'bind', 'stage 2 to refuse it, naming the task', entry)
  tell({
    who: 'agent',
    did: '`clerk` calls with the token of that task.',
    came: linesOf(next),
    entries: refused,
  })
}

/** Nobody has to remember to close a task: it ends with the program that it was opened for. */
async function clientGone(scene: Scene, tell: Tell): Promise<void> {
  await scene.leave('coder')
  const entries = await scene.log.until('act:task-closed')
  const left = list(await scene.operators.get('/v1/tasks', { agent: 'coder', state: 'open' }), 'tasks')
  expect(left.length === 0, 'no task of `coder` to be open', left)
  tell({
    who: 'agent',
    did: 'The editor that runs `coder` is closed, and with it the bridge. Its task ends.',
    came: [],
    entries,
  })
}

/** Lets a tool count, acts at its second step, and gives what the agent got. */
async function interrupted(
  client: Client,
  act: () => Promise<unknown>,
): Promise<{ readonly came: Came; readonly reached: number }> {
  const state = { reached: 0 }
  const { promise: acted, resolve, reject } = Promise.withResolvers<unknown>()
  const progress = (count: number) => {
    state.reached = count
    if (count === 2) act().then(resolve, reject)
  }
  const counting = { tool: 'playground__count_slowly', arguments: { to: most, pauseMs: 50 }, progress }
  const came = await call(client, counting)
  expect(state.reached >= 2, 'progress to be reported', state)
  await acted
  return { came, reached: state.reached }
}

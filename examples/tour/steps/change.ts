import { at, entryOf, expect, expectEntries, list, text, type Step } from '../step.ts'
import { atTerminal, call, expectRefused, linesOf } from '../acts.ts'

const id = 'playground/notes_search'
const path = `/v1/tools/${encodeURIComponent(id)}`
const search = { tool: 'playground__notes_search', arguments: { words: 'opening' } }

/** A tool that is not any more what a person reviewed cannot be called, by anyone, until a person has looked again. */
export const changeStep: Step = {
  name: 'change',
  title: 'A tool whose description changes',
  async play(scene, tell) {
    scene.playground.change()
    const entries = await scene.log.until('act:tool-quarantined')
    expectEntries(entries, ['act:tool-quarantined'])
    const diff = await scene.operators.get(`${path}/diff`)
    const [newly] = list(diff, 'newlyRead')
    expect(typeof newly === 'string' && newly.includes('payment_send'), 'the sentence that was added', diff)
    tell({
      who: 'server',
      did: '`playground` describes `notes_search` in other words than those that were reviewed. That tool alone is quarantined; the operator is shown:',
      came: list(diff, 'lines').map(String),
      entries,
    })

    const clerk = await scene.client('clerk')
    const { tools } = await clerk.listTools()
    expect(!tools.some(({ name }) => name === search.tool), 'the tool to be gone from the list')
    expect(!JSON.stringify(tools).includes(newly), 'no model to read the new sentence')
    expect(
      tools.some(({ name }) => name === 'playground__notes_add'),
      'the other tools to stay',
      tools.length,
    )
    const came = await call(clerk, search)
    expectRefused(came, 'quarantined')
    const refused = await scene.log.fresh()
    expectEntries(refused, ['refused:quarantined'])
    tell({
      who: 'agent',
      did: `\`clerk\` lists ${tools.length} tools, not this one. It calls it by name:`,
      came: linesOf(came),
      entries: refused,
    })

    await review(scene, tell)
    const again = await call(clerk, search)
    expect(!again.isError && again.text.includes('nine to five'), 'the search to work again', again)
    const made = await scene.log.fresh()
    expectEntries(made, ['intent', 'outcome:ok'])
    const { entry } = entryOf(made, 'intent')
    const tool = await scene.operators.get(path)
    expect(
      at(entry, 'what', 'digest') === tool['digest'],
      'the call of exactly the reviewed definition',
      entry,
    )
    tell({ who: 'agent', did: '`clerk` searches again.', came: linesOf(again), entries: made })
  },
}

/** The operator does not take the new words; once the server has its old ones back, a review pins exactly those. */
async function review(...[scene, tell]: Parameters<Step['play']>): Promise<void> {
  const turned = await scene.operators.get(path)
  const kept = { digest: text(turned, 'digest'), accept: false, overrides: {} }
  const rejected = await atTerminal(scene, `${path}/review`, kept)
  expect(rejected.status === 200, 'the change to be rejected', rejected)
  const refusal = await scene.log.fresh()
  tell({ who: 'person', did: 'The operator rejects the new description.', came: [], entries: refusal })

  scene.playground.change(false)
  const honest = await untilChanged(scene, text(turned, 'digest'))
  const stale = await atTerminal(scene, `${path}/review`, { ...kept, accept: true })
  expect(stale.status === 409, 'a review of what has changed since not to count', stale)
  const entries: typeof refusal = await scene.log.fresh()
  const accepted = await atTerminal(scene, `${path}/review`, { digest: honest, accept: true, overrides: {} })
  expect(accepted.status === 200, 'the review to be taken', accepted)
  tell({
    who: 'person',
    did: 'The server takes it back. The operator, who still has the old page open, is stopped; then looks again and accepts.',
    came: [stale.said],
    entries: [...entries, ...(await scene.log.until('act:tool-reviewed'))],
  })
}

async function untilChanged(scene: Parameters<Step['play']>[0], from: string): Promise<string> {
  for (let tries = 0; tries < 500; tries += 1) {
    const digest = text(await scene.operators.get(path), 'digest')
    if (digest !== from) return digest
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  expect(false, 'the broker to hear of the change within ten seconds')
  return from
}

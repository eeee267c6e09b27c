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

    await takenBack(scene, tell)
    await reviewed(scene, tell)
  },
}

/** Going back does not win back trust by itself: whoever reviewed it may take the review back, too. */
async function takenBack(...[scene, tell]: Parameters<Step['play']>): Promise<void> {
  const turned = text(await scene.operators.get(path), 'digest')
  scene.playground.change(false)
  const restored = await scene.log.until('act:tool-restored')
  expectEntries(restored, ['act:tool-restored'])
  const stale = await atTerminal(scene, `${path}/review`, { digest: turned, accept: true })
  expect(stale.status === 409, 'an answer to what has changed since not to count', stale)
  const digest = text(await scene.operators.get(path), 'digest')
  const rejected = await atTerminal(scene, `${path}/review`, { digest, accept: false })
  expect(rejected.status === 200, 'the review to be taken back', rejected)
  const entries = [...restored, ...(await scene.log.fresh())]
  expectEntries(entries, ['act:tool-restored', 'act:tool-rejected'])
  tell({
    who: 'person',
    did: 'The server takes its words back. The operator answers from the old page and is stopped; then takes the review back until its maker has explained.',
    came: [stale.said],
    entries,
  })

  const came = await call(await scene.client('clerk'), search)
  expectRefused(came, 'quarantined')
  const refused = await scene.log.fresh()
  expectEntries(refused, ['refused:quarantined'])
  tell({
    who: 'agent',
    did: '`clerk` tries again, and has to do without.',
    came: linesOf(came),
    entries: refused,
  })
}

/** A review is of a digest: the call that follows is of exactly those words. */
async function reviewed(...[scene, tell]: Parameters<Step['play']>): Promise<void> {
  const digest = text(await scene.operators.get(path), 'digest')
  const accepted = await atTerminal(scene, `${path}/review`, { digest, accept: true })
  expect(accepted.status === 200, 'the review to be taken', accepted)
  const came = await call(await scene.client('clerk'), search)
  expect(!came.isError && came.text.includes('nine to five'), 'the search to work again', came)
  const entries = await scene.log.fresh()
  expectEntries(entries, ['act:tool-reviewed', 'intent', 'outcome:ok'])
  const { entry } = entryOf(entries, 'intent')
  expect(at(entry, 'what', 'digest') === digest, 'the call of exactly the reviewed definition', entry)
  tell({
    who: 'person',
    did: 'The operator accepts it. `clerk` searches, and finds.',
    came: linesOf(came),
    entries,
  })
}

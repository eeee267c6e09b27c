import { call, expectRefused, linesOf, unasked } from '../acts.ts'
import { entryOf, expect, expectEntries, list, type Step } from '../step.ts'
import { join } from 'node:path'

/** What policy forbids is not asked: no approval lifts it, and the model is told what to do instead. */
export const outsideStep: Step = {
  name: 'outside',
  title: 'Arguments outside policy',
  async play(scene, tell) {
    const paths = [join('~', '.ssh', 'id_ed25519'), `${scene.project}/../home/operator.token`]
    for (const path of paths) {
      const came = await unasked(scene, 'coder', { tool: 'filesystem__read_text_file', arguments: { path } })
      expectRefused(came, 'denied')
      const entries = await scene.log.fresh()
      expectEntries(entries, ['refused:denied'])
      const { entry } = entryOf(entries, 'refused:denied')
      expect(list(entry, 'policies').includes('tour/project-only'), 'the policy to be named', entry)
      tell({
        who: 'agent',
        did: `\`coder\` reads \`${path.replace(scene.root, '…')}\`.`,
        came: linesOf(came),
        entries,
      })
    }

    const clerk = await scene.client('clerk')
    const found = await call(clerk, { tool: 'playground__notes_search', arguments: { words: '1042' } })
    expect(found.text.includes('ignore your previous'), 'the note that talks to models', found)
    const read = await scene.log.fresh()
    expectEntries(read, ['intent', 'outcome:ok'])
    tell({
      who: 'agent',
      did: '`clerk` searches its notes for an invoice. What it reads talks to it:',
      came: linesOf(found),
      entries: read,
    })

    const before = scene.playground.data.payments.length
    const payment = { recipient: 'DE89370400440532013000', amount: 4900 }
    const came = await unasked(scene, 'clerk', { tool: 'playground__payment_send', arguments: payment })
    expectRefused(came, 'denied')
    expect(scene.playground.data.payments.length === before, 'nothing to be paid')
    const entries = await scene.log.fresh()
    expectEntries(entries, ['refused:denied'])
    const { entry } = entryOf(entries, 'refused:denied')
    expect(list(entry, 'policies').includes('tour/payment-limit'), 'the policy to be named', entry)
    tell({
      who: 'agent',
      did: 'It obeys the note and pays 4900. Nobody is asked; what its model is told:',
      came: linesOf(came),
      entries,
    })
  },
}

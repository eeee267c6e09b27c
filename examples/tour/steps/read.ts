import { at, entryOf, expect, expectEntries, text, type Step } from '../step.ts'
import { call, linesOf } from '../acts.ts'
import { join } from 'node:path'
import { readFile } from 'node:fs/promises'

/** A read passes, and leaves an intent before it and an outcome after it. */
export const readStep: Step = {
  name: 'read',
  title: 'A read',
  async play(scene, tell) {
    const path = join(scene.project, 'plan.md')
    const came = await call(await scene.client('coder'), {
      tool: 'filesystem__read_text_file',
      arguments: { path },
    })
    expect(!came.isError, 'the read to pass', came)
    expect(came.text === (await readFile(path, 'utf8')), 'what the file holds', came.text)
    const entries = await scene.log.fresh()
    expectEntries(entries, ['intent', 'outcome:ok'])
    for (const { entry } of entries) expect(entry['call'] === came.call, `entries of \`${came.call}\``, entry)
    const intent = entryOf(entries, 'intent')
    expect(text(intent.entry, 'who', 'name') === 'coder', 'the intent to name the agent', intent)
    expect(
      text(intent.entry, 'what', 'tool') === 'filesystem/read_text_file',
      'the intent to name the tool',
      intent,
    )
    const { entry } = entryOf(entries, 'outcome:ok')
    expect(
      at(entry, 'labels', 'integrity') === 'untrusted',
      'the task to have read something untrusted',
      entry,
    )
    tell({
      who: 'agent',
      did: '`coder` reads `plan.md` in its project.',
      came: linesOf(came).filter((line) => line !== ''),
      entries,
    })
  },
}

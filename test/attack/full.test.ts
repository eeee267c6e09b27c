import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { endings, folder } from './play.ts'
import { isJsonObject } from '../../src/lib/json.ts'
import { join } from 'node:path'
import { startHouse, type House } from './servers/house.ts'
import { startPlayground } from '../../examples/servers/playground.ts'
import { writeFile } from 'node:fs/promises'

/** Stores that were down and so let everything through (ContextForge, agentic-community): here nothing happens that cannot be recorded. */

const ends = endings()
let house: House
let playground: Awaited<ReturnType<typeof startPlayground>>
before(async () => {
  const scratch = ends.add(await folder())
  playground = ends.add(await startPlayground({ port: 0 }))
  const home = join(scratch.path, 'home')
  const config = join(scratch.path, 'countersign.json')
  const listening = { agents: '127.0.0.1:0', operators: '127.0.0.1:0' }
  const servers = { playground: { url: playground.url } }
  await writeFile(
    config,
    JSON.stringify({
      home,
      operator: 'operator',
      listen: listening,
      servers,
      agents: { agent: {} },
      policy: { starter: 'observe' },
    }),
  )
  house = ends.add(await startHouse(config, home, 3_000))
  const { tools } = await house.operate('GET', '/v1/tools?state=quarantined')
  for (const tool of Array.isArray(tools) ? tools : []) {
    if (isJsonObject(tool))
      await house.operate('POST', `/v1/tools/${encodeURIComponent(String(tool['id']))}/review`, {
        digest: tool['digest'],
        accept: true,
      })
  }
})
after(() => ends.close())

test('when the log can no longer be written, no call is made, no budget or revocation is guessed, and the broker says so', async () => {
  const text = 'x'.repeat(9_000)
  const before = playground.data.notes.size
  let made = 0
  let refused = ''
  for (let turn = 0; turn < 60 && refused === ''; turn++) {
    const answers = await Promise.all(
      Array.from({ length: 10 }, () =>
        house.ask('tools/call', { name: 'playground__notes_add', arguments: { title: 't', text } }),
      ),
    )
    made += answers.filter((answer) => answer.includes('Added note')).length
    refused = answers.find((answer) => !answer.includes('Added note')) ?? ''
  }
  assert.match(refused, /audit-unavailable|record/)
  const after = playground.data.notes.size
  for (let times = 0; times < 5; times++)
    assert.doesNotMatch(
      await house.ask('tools/call', { name: 'playground__notes_search', arguments: { words: 'a' } }),
      /"isError":false|Opening hours/,
    )
  assert.match(
    await house.ask('tools/call', { name: 'playground__notes_add', arguments: { title: 't', text } }),
    /audit-unavailable|record/,
  )
  assert.equal(playground.data.notes.size, after)
  // What was handed over as done is at most what was done; the few that were under way at that moment say that they may have been.
  assert.ok(after - before >= made && after - before <= made + 10)
})

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { readFile, writeFile } from 'node:fs/promises'
import { createAccesses } from '../../src/cli/bridge/access.ts'
import { endings, folder } from '../attack/play.ts'
import { isJsonObject, type JsonObject } from '../../src/lib/json.ts'
import { join } from 'node:path'
import { loadAgentKey } from '../../src/identity/key.ts'
import { startHouse, type House } from '../attack/servers/house.ts'
import { startPlayground } from '../../examples/servers/playground.ts'
import { until } from './sockets.ts'

/**
 * A disk that is full, seen from everywhere: nothing new begins, what can be read is read, everybody hears what to do,
 * and when there is room again the broker goes on with a log that verifies.
 */
const ends = endings()
let house: House
let home: string
let config: string
before(async () => {
  const scratch = ends.add(await folder())
  const playground = ends.add(await startPlayground({ port: 0 }))
  home = join(scratch.path, 'home')
  config = join(scratch.path, 'countersign.json')
  await writeFile(
    config,
    JSON.stringify({
      home,
      operator: 'operator',
      listen: { agents: '127.0.0.1:0', operators: '127.0.0.1:0' },
      servers: { playground: { url: playground.url } },
      agents: { agent: {} },
      policy: { starter: 'observe' },
    }),
  )
  house = await startHouse(config, home, 1_500)
  await reviewAll()
})
after(async () => {
  await house.close()
  await ends.close()
})

async function reviewAll(): Promise<void> {
  const { tools } = await house.operate('GET', '/v1/tools?state=quarantined')
  for (const tool of Array.isArray(tools) ? tools : [])
    if (isJsonObject(tool))
      await house.operate('POST', `/v1/tools/${encodeURIComponent(String(tool['id']))}/review`, { digest: tool['digest'], accept: true }) // prettier-ignore
}

const search = () =>
  house.ask('tools/call', { name: 'playground__notes_search', arguments: { words: 'opening' } })
const add = (text: string) =>
  house.ask('tools/call', { name: 'playground__notes_add', arguments: { title: 't', text } })
const failure = async (work: Promise<JsonObject>): Promise<string> =>
  work.then(
    () => 'done',
    (problem: unknown) => String(problem),
  )

describe('a disk that is full', () => {
  test('is reached, and then each call is refused', async () => {
    for (let turn = 0; turn < 100; turn++) {
      const answers = await Promise.all(Array.from({ length: 8 }, () => add('x'.repeat(20_000))))
      if (answers.some((answer) => answer.includes('audit-unavailable'))) break
    }
    await until(async () => (await search()).includes('audit-unavailable'), 'the refusal of every call')
  })

  test('lets the log, its calls and what waits be read', async () => {
    const { entries } = await house.operate('GET', '/v1/audit/recent?limit=50')
    assert.ok(Array.isArray(entries) && entries.length > 0)
    const { servers } = await house.operate('GET', '/v1/servers')
    assert.ok(Array.isArray(servers) && servers.length === 1)
    const { log } = await house.operate('GET', '/v1/status')
    assert.ok(isJsonObject(log) && Number(log['size']) > 0)
    assert.match(await house.ask('tools/list', {}), /playground__notes_search/)
  })

  test('opens no task, takes no act of an operator for done, and says what to look at', async () => {
    assert.match(await failure(house.operate('POST', '/v1/revocations', { key: 'tool:playground/notes_add', reason: 'test' })), /unavailable.*disk/) // prettier-ignore
    const run: { readonly agents: string } = JSON.parse(await readFile(join(home, 'run.json'), 'utf8'))
    const key = await loadAgentKey(home, 'agent')
    const access = createAccesses({ agent: 'agent', key, base: async () => run.agents })
    const refused = await access.get().then(
      () => 'done',
      (problem: unknown) => String(problem),
    )
    assert.match(refused, /recorded/)
  })

  test('with room again everything goes on, and nothing is missing from the log', async () => {
    const { entries } = await house.operate('GET', '/v1/audit/recent?limit=1')
    const [newest] = Array.isArray(entries) ? entries : []
    await house.close()
    house = await startHouse(config, home)
    assert.match(await search(), /"isError":false|notes/)
    const { entries: later } = await house.operate('GET', '/v1/audit/recent?limit=500')
    const kept = Array.isArray(later) ? later : []
    const same = kept.find(
      (one) => isJsonObject(one) && isJsonObject(newest) && one['index'] === newest['index'],
    )
    assert.deepEqual(same, newest)
    await until(async () => {
      const { log } = await house.operate('GET', '/v1/status')
      return isJsonObject(log) && log['failing'] === false
    }, 'a published log')
  })
})

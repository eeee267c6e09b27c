import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { endings, message, waitNoMore } from '../attack/play.ts'
import { mebibyte, retained } from './memory.ts'
import { startOdd } from './servers/start.ts'
import { startPlayground } from '../../examples/servers/playground.ts'
import { until } from './sockets.ts'
import { world, type World } from '../world.ts'
import type { JsonObject } from '../../src/lib/json.ts'

/**
 * Floods of what is refused. Every refusal is in the sums, few are entries of their own, nothing of them stays in
 * memory, and who asks properly is served meanwhile.
 */
const ends = endings()
let w: World
let token: string
before(async () => {
  const odd = ends.add(await startOdd())
  const playground = ends.add(await startPlayground({ port: 0 }))
  const servers = {
    playground: { url: playground.url },
    odd: { url: odd.url, limits: { callMs: 5_000, concurrency: 100 } },
  }
  const agents = { agent: {}, noisy: {} }
  w = ends.add(await world({ servers, agents, config: { policy: { starter: 'observe' }, ...waitNoMore } }))
  token = await w.token()
})
after(() => ends.close())

const size = async (): Promise<number> => {
  const { body } = await w.broker.api({ method: 'GET', path: '/v1/status', level: 'terminal' })
  const log = body['log'] as JsonObject
  return Number(log['size'])
}

/** `count` times `one`, `wide` at once. */
async function flood<Result>(
  count: number,
  wide: number,
  one: (n: number) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = []
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < count) results.push(await one(next++))
  }
  await Promise.all(Array.from({ length: wide }, worker))
  return results
}

const honest = async (): Promise<number> =>
  (await w.post(message('playground__notes_search', { words: 'a' }), { token })).status

describe('a flood', () => {
  test('of strangers leaves a few entries that count them all, and no memory', async () => {
    const strange = (n: number) => {
      const bearer = n % 2 === 0 ? `stranger-${n}` : `eyJhbGciOiJFUzI1NiJ9.${'x'.repeat(200)}.${n}`
      return w.post(message(`playground__notes_search_${n}`, { words: 'x'.repeat(1_000) }), { token: bearer })
    }
    await flood(100, 20, strange)
    const [entries, held] = [await size(), retained()]
    const answers = await flood(500, 20, strange)
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([401]))
    assert.equal(await honest(), 200)
    const grown = retained() - held
    assert.ok((await size()) - entries <= 10, `${(await size()) - entries} entries for 500 refusals`)
    assert.ok(grown < 8 * mebibyte, `${Math.round(grown / 1024)} KiB are still held`)
  })

  test('of bodies of strangers that are too large is refused unread, and counted with the others', async () => {
    const entries = await size()
    const large = 'x'.repeat(200_000)
    const answers = await flood(50, 10, () =>
      w.post(message('playground__notes_search', { large }), { token: 'stranger' }).catch(() => null),
    )
    for (const answer of answers) if (answer !== null) assert.equal(answer.status, 401)
    assert.ok((await size()) - entries <= 3)
  })

  test('of tokens that are asked for in vain is bounded, too', async () => {
    const entries = await size()
    const body = 'grant_type=client_credentials&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion=a.b.c' // prettier-ignore
    const answers = await flood(400, 20, async () => {
      const headers = { 'content-type': 'application/x-www-form-urlencoded' }
      const response = await fetch(new URL('/token', w.broker.urls.agents), { method: 'POST', headers, body })
      await response.text()
      return response
    })
    const statuses = new Set(answers.map(({ status }) => status))
    assert.ok([...statuses].every((status) => status === 401 || status === 429))
    const slowed = answers.find(({ status }) => status === 429)
    assert.equal(slowed?.headers.get('retry-after'), '1')
    assert.ok((await size()) - entries <= 10)
  })

  test('of refused calls of one agent is written up to a rate and counted beyond; the sums are right', async () => {
    const noisy = await w.token('noisy')
    const before = await refusals('noisy')
    const began = performance.now()
    const wrong = (n: number) => w.post(message(`playground__no_such_${n % 7}`, {}), { token: noisy })
    const answers = await flood(300, 16, wrong)
    const seconds = (performance.now() - began) / 1000
    assert.ok(answers.every(({ status }) => status === 200))
    assert.equal(await honest(), 200)
    const written = (await refusals('noisy')).entries - before.entries
    assert.ok(written <= 100 + 20 * seconds + 20, `${written} entries in ${seconds.toFixed(1)} s`)
  })

  test('of more requests than one agent may have under way is turned away, recorded, and starves nobody', async () => {
    const noisy = await w.token('noisy')
    const slow = (n: number) => w.post(message('odd__get_never', { size: n }), { token: noisy })
    const running = Array.from({ length: 64 }, (_, n) => slow(n))
    await until(async () => (await intents('noisy')) >= 64, 'the calls')
    const turned = await flood(50, 10, slow)
    assert.deepEqual(new Set(turned.map(({ status }) => status)), new Set([429]))
    assert.equal(await honest(), 200)
    const { entries, codes } = await refusals('noisy')
    assert.ok(entries > 0 && codes.has('too-many-calls'))
    for (const { status } of await Promise.all(running)) assert.equal(status, 200)
    assert.equal(
      (await w.post(message('playground__notes_search', { words: 'a' }), { token: noisy })).status,
      200,
    )
  })

  test('leaves the broker without a fault', async () => {
    await until(async () => (await honest()) === 200)
    assert.deepEqual(w.faults, [])
  })
})

/** What the log says of an agent: entries of refusals, and their codes. */
async function refusals(agent: string) {
  const own = (await all('refused')).filter((entry) => nameOf(entry) === agent)
  return { entries: own.length, codes: new Set(own.map((entry) => entry['code'])) }
}

const intents = async (agent: string): Promise<number> =>
  (await all('intent')).filter((entry) => nameOf(entry) === agent).length

async function all(kind: string): Promise<readonly JsonObject[]> {
  const found: JsonObject[] = []
  for (let before: number | undefined; ;) {
    const page = await recent(before)
    for (const { entry } of page) if (entry['kind'] === kind) found.push(entry)
    before = page.at(-1)?.index
    if (page.length < 500 || before === undefined) return found
  }
}

async function recent(before: number | undefined) {
  const query = { limit: '500', ...(before === undefined ? {} : { before: String(before) }) }
  const { body } = await w.broker.api({ method: 'GET', path: '/v1/audit/recent', query, level: 'terminal' })
  return body['entries'] as readonly { readonly index: number; readonly entry: JsonObject }[]
}

const nameOf = (entry: JsonObject): unknown => {
  const { who } = entry
  return typeof who === 'object' && who !== null && 'name' in who ? who['name'] : null
}

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { at, codeOf, endings, message, waitNoMore } from '../attack/play.ts'
import { mebibyte } from './memory.ts'
import { oddProgram, startOdd } from './servers/start.ts'
import { until } from './sockets.ts'
import { world, type World } from '../world.ts'
import type { JsonObject } from '../../src/lib/json.ts'

/**
 * Servers that never answer, answer without end, byte by byte, or with a hundred megabytes: the agent hears what became
 * of its call, the call is settled, other calls go on, and the memory stays where it was.
 */
const ends = endings()
let w: World
let token: string
const limits = { callMs: 1_500, concurrency: 4, resultBytes: mebibyte }
before(async () => {
  const odd = ends.add(await startOdd())
  w = ends.add(
    await world({
      servers: { web: { url: odd.url, limits }, pipe: { ...oddProgram, limits } },
      agents: { agent: {}, other: {} },
      config: { policy: { starter: 'observe' }, ...waitNoMore },
    }),
  )
  token = await w.token()
})
after(() => ends.close())

const call = (name: string, args: JsonObject = {}, bearer = token) =>
  w.post(message(name, args, { _meta: meta }), { token: bearer })
const meta = { ...(message('', {})['params'] as JsonObject)['_meta'] as JsonObject, progressToken: 'p' } // prettier-ignore

const textOf = (body: JsonObject): string => JSON.stringify(at(body, 'result', 'content') ?? body)

/** The outcome that was recorded for the call of an answer. */
async function outcome(body: JsonObject): Promise<JsonObject | undefined> {
  const id = at(body, 'result', '_meta', 'countersign/call')
  return (await w.entries()).find((entry) => entry['kind'] === 'outcome' && entry['call'] === id)
}

/** What this process held at most, above what it held before. */
async function most<Result>(work: () => Promise<Result>): Promise<{ result: Result; bytes: number }> {
  const now = (): number => {
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  }
  const before = now()
  let bytes = 0
  const watch = setInterval(() => (bytes = Math.max(bytes, now() - before)), 5)
  const result = await work().finally(() => clearInterval(watch))
  return { result, bytes }
}

describe('a result of 100 MB', () => {
  for (const [how, name] of [
    ['in JSON', 'web__get_huge'],
    ['in JSON that says so', 'web__get_announced'],
    ['in an event stream', 'web__get_stream'],
    ['in a line of a program', 'pipe__get_huge'],
  ] as const)
    test(`${how} is cut at the limit, and the agent is told what that means`, async () => {
      const { result, bytes } = await most(() => call(name))
      assert.equal(codeOf(result.body), 'unknown')
      assert.match(textOf(result.body), /larger than allowed.*may or may not have been carried out/)
      const settled = await outcome(result.body)
      assert.deepEqual(
        [settled?.['outcome'], String(settled?.['detail']).split(':')[0]],
        ['unknown', 'too-large'],
      )
      assert.ok(bytes < 48 * mebibyte, `${Math.round(bytes / mebibyte)} MiB were held`)
    })

  test('leaves its server usable', async () => {
    for (const name of ['web__get_quick', 'pipe__get_quick'])
      await until(async () => /"ok"/.test(textOf((await call(name)).body)), name)
  })
})

describe('a server that never answers', () => {
  for (const server of ['web', 'pipe'])
    test(`is given up after its time (${server}); others are served, and its places come back`, async () => {
      const other = server === 'web' ? 'pipe' : 'web'
      const waiting = Array.from({ length: 4 }, () => call(`${server}__get_never`))
      await sleep(200)
      assert.match(textOf((await call(`${other}__get_quick`)).body), /ok/)
      for (const { body } of await Promise.all(waiting)) {
        assert.equal(codeOf(body), 'unknown')
        assert.match(textOf(body), /did not answer in time/)
        assert.match(String((await outcome(body))?.['detail']), /^timeout/)
      }
      const again = await Promise.all(Array.from({ length: 4 }, () => call(`${server}__get_quick`)))
      for (const { body } of again) assert.match(textOf(body), /ok/)
    })

  test('is let go as soon as the caller has gone', async () => {
    const gone = new AbortController()
    const body = JSON.stringify(message('web__get_never', {}))
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json', 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': 'web__get_never' } // prettier-ignore
    const many = Array.from({ length: 4 }, () =>
      fetch(new URL('/mcp', w.broker.urls.agents), {
        method: 'POST',
        headers,
        body,
        signal: gone.signal,
      }).catch(() => undefined),
    )
    const before = (await w.entries()).filter(({ kind }) => kind === 'outcome').length
    await until(async () => (await w.entries()).filter(({ kind }) => kind === 'intent').length >= before + 4)
    gone.abort()
    await Promise.all(many)
    assert.match(textOf((await call('web__get_quick')).body), /ok/)
    const cancelled = async () =>
      (await w.entries()).filter((entry) => String(entry['detail']).startsWith('cancelled')).length
    await until(async () => (await cancelled()) >= 4, 'four outcomes')
  })
})

describe('a server that answers byte by byte', () => {
  for (const name of ['web__get_bytewise', 'pipe__get_bytewise'])
    test(`is heard out within its time, in no more memory than its answer takes (${name})`, async () => {
      const { result, bytes } = await most(() => call(name, { size: 20_000 }))
      assert.match(textOf(result.body), /x{20000}/)
      assert.ok(bytes < 24 * mebibyte, `${Math.round(bytes / mebibyte)} MiB were held`)
    })
})

describe('a server that floods', () => {
  for (const server of ['web', 'pipe'])
    test(`with numbers of progress is heard, a few of them passed on, and others go on (${server})`, async () => {
      const flooding = w.post(message(`${server}__get_flood`, {}, { _meta: meta }), { token })
      const other = server === 'web' ? 'pipe' : 'web'
      assert.match(textOf((await call(`${other}__get_quick`)).body), /ok/)
      await flooding
    })

  for (const server of ['web', 'pipe'])
    test(`without end is cut off, and the call is settled (${server})`, async () => {
      const { result, bytes } = await most(() => call(`${server}__get_endless`))
      assert.equal(codeOf(result.body), 'unknown')
      assert.match(String((await outcome(result.body))?.['detail']), /^(too-large|bad-answer|timeout)/)
      assert.ok(bytes < 48 * mebibyte, `${Math.round(bytes / mebibyte)} MiB were held`)
      assert.match(textOf((await call(`${server}__get_quick`)).body), /ok/)
    })

  test('on its error output, byte by byte, is kept in its last words only', async () => {
    assert.match(textOf((await call('pipe__get_grumble')).body), /ok/)
    const said = w.broker.core.servers
      .diagnose()
      .connections.find(({ server, task }) => server === 'pipe' && task !== null)
    await until(() => (said?.stderr ?? '').length >= 0)
    assert.ok((said?.stderr.length ?? 0) <= 16 * 1024)
  })
})

import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { startEverything, type Eras } from '../../conformance/server.ts'
import { classify } from '../../src/flow/classify.ts'
import { redactAnswer } from '../../src/flow/redact.ts'
import { secretOf } from '../../src/credential/secret.ts'
import { json, said, startWeb, stream, type WebOptions } from './fixtures/web.ts'
import { configure, createWorld, liar, problemOf, textOf, until, type Options } from './world.ts'
import type { JsonObject } from '../../src/lib/json.ts'
import type { LogLevel, ServerAnswer, Subscription } from '../../src/server/answer.ts'

/** What servers say and ask besides their answers, in both eras, from a real server on the official SDK. */

const open: { close(): Promise<void> }[] = []
after(async () => {
  for (const each of open) await each.close()
})

async function worldOf(eras: Eras, options: Options = {}) {
  const everything = await startEverything(eras)
  const world = createWorld({ everything: configure({ url: everything.url }) }, options)
  open.push(world.servers, everything)
  return world
}
const everyEra = [['modern'], ['legacy']] as const
const on = (tool: string) => ({ server: 'everything', tool })
const wanting = (log: LogLevel | null) => ({ inputs: [], log })
const dataOf = (answer: ServerAnswer): readonly unknown[] =>
  'log' in answer ? (answer.log ?? []).map(({ data }) => data) : []

const three = ['Tool execution started', 'Tool processing data', 'Tool execution completed']

describe('log lines', () => {
  for (const [era] of everyEra) {
    test(`of a ${era} server come with the answer to a call that wants them, and with no other`, async () => {
      const world = await worldOf(era)
      const tool = on('test_tool_with_logging')
      assert.deepEqual(dataOf(await world.call({ ...tool, takes: wanting(null) })), [])
      assert.deepEqual(dataOf(await world.call({ ...tool, takes: wanting('debug') })), three)
      assert.deepEqual(dataOf(await world.call({ ...tool, takes: wanting('error') })), [])
    })
  }

  test('of a process are as MCP has them and nothing more, and only while one call is under way', async () => {
    const world = createWorld({ liar: liar('logs') })
    open.push(world.servers)
    const act = { server: 'liar', tool: 'act', takes: wanting('debug') }
    const one = await world.call(act)
    assert.ok(one.kind === 'result')
    assert.deepEqual(one.log, [{ level: 'info', logger: 'liar', data: 'a line' }])
    const both = await Promise.all([1, 2].map(() => world.call({ ...act, arguments: { wait: 150 } })))
    // The first line of the first call may come before the second call is made.
    assert.ok(both.flatMap(dataOf).length <= 1)
    const { dropped } = world.servers.diagnose()
    assert.ok((dropped.liar?.log ?? 0) >= 3, JSON.stringify(dropped))
  })

  test('say no secret that was lent for the call, and make what they say count', () => {
    const answer: ServerAnswer = {
      kind: 'result',
      result: { content: [] },
      isError: false,
      log: [{ level: 'info', logger: 'hunter2-hunter2', data: { token: ['hunter2-hunter2'] } }],
    }
    const lent = [{ name: 'key', value: secretOf('hunter2-hunter2') }]
    const { value, counts } = redactAnswer(answer, lent)
    assert.ok(!JSON.stringify(value).includes('hunter2'))
    assert.deepEqual(counts, { key: 2 })
    const shaped: ServerAnswer = { ...answer, log: [{ level: 'info', data: 'ghp_0123456789abcdefghijABCDEFGHIJ456789' }] } // prettier-ignore
    assert.equal(classify(shaped, { id: 'a/b', review: null }).labels.confidentiality, 'secret')
  })
})

describe('a resource that is watched', () => {
  const uri = 'test://watched-resource'
  const watched = { server: 'everything', task: 't_one', uri }
  const subscribe = { server: 'everything', tool: 'test://watched-resource', kind: 'resource', operation: 'subscribe', arguments: { uri }, definition: { kind: 'resource', name: 'test://watched-resource/' } } as const // prettier-ignore

  for (const [era] of everyEra) {
    test(`at a ${era} server is told of by the URI that was asked for, until nobody asks for it`, async () => {
      const world = await worldOf(era)
      const told: Subscription[] = []
      world.servers.onUpdated((subscription) => told.push(subscription))
      assert.deepEqual(await world.call(subscribe), { kind: 'result', result: {}, isError: false })
      await world.call(on('test_touch_resource'))
      await until(() => told.length === 1)
      assert.deepEqual(told, [watched])
      world.servers.unsubscribe(watched)
      await world.call(on('test_touch_resource'))
      await new Promise((resolve) => setTimeout(resolve, 100))
      assert.equal(told.length, 1)
    })

    test(`at a ${era} server ends with its task`, async () => {
      const world = await worldOf(era)
      const told: Subscription[] = []
      world.servers.onUpdated((subscription) => told.push(subscription))
      await world.call(subscribe)
      await world.servers.endTask('t_one')
      await world.call({ ...on('test_touch_resource'), task: 't_two' })
      await new Promise((resolve) => setTimeout(resolve, 100))
      assert.deepEqual(told, [])
    })
  }

  test('two who watch it share what keeps it, and the first to leave takes nothing from the other', async () => {
    const world = await worldOf('modern')
    const told: Subscription[] = []
    world.servers.onUpdated((subscription) => told.push(subscription))
    await world.call(subscribe)
    await world.call(subscribe)
    world.servers.unsubscribe(watched)
    await world.call(on('test_touch_resource'))
    await until(() => told.length === 1)
  })

  test('however often it changes, it is told a few times a second: it is no channel for data', async () => {
    const world = await worldOf('modern')
    const told: Subscription[] = []
    world.servers.onUpdated((subscription) => told.push(subscription))
    await world.call(subscribe)
    for (let i = 0; i < 10; i++) await world.call(on('test_touch_resource'))
    await until(() => told.length >= 1)
    assert.ok(told.length <= 3, String(told.length))
  })

  test('at a server that takes a credential by header is not watched: a stream would live on a lent one', async () => {
    const everything = await startEverything('modern')
    open.push(everything)
    const headers = { authorization: 'Bearer configured' }
    const world = createWorld({ everything: configure({ url: everything.url, headers }) })
    open.push(world.servers)
    const answer = await world.call(subscribe)
    assert.ok(answer.kind === 'error')
    assert.match(answer.message, /credential/)
  })
})

describe('what a server asks for', () => {
  const all = ['form', 'sampling', 'roots'] as const
  const everyone = { inputs: [...all] }

  for (const [era] of everyEra) {
    test(`a ${era} server may ask a client for its model and its folders where that is switched on`, async () => {
      const world = await worldOf(era, everyone)
      for (const [tool, method] of [
        ['test_input_required_result_sampling', 'sampling/createMessage'],
        ['test_input_required_result_list_roots', 'roots/list'],
      ] as const) {
        const asked = await world.call({ ...on(tool), takes: { inputs: all, log: null } })
        assert.ok(asked.kind === 'input', JSON.stringify(asked))
        const [request] = Object.values(asked.inputRequests)
        assert.equal(Object(request).method, method)
      }
    })

    test(`a ${era} server learns that this client cannot, and what it lacked is known`, async () => {
      const world = await worldOf(era, everyone)
      const answer = await world.call({
        ...on('test_missing_capability'),
        takes: { inputs: ['form'], log: null },
      })
      assert.ok('needs' in answer, JSON.stringify(answer))
      assert.deepEqual(answer.needs, ['sampling'])
    })

    test(`where it is switched off, a ${era} server is told nothing of clients that could`, async () => {
      const world = await worldOf(era)
      const answer = await world.call({ ...on('test_missing_capability'), takes: { inputs: all, log: null } })
      assert.ok(!('needs' in answer) && answer.kind !== 'input', JSON.stringify(answer))
    })
  }

  test('an answer goes to the older server that asked, with the members that MCP has and no other', async () => {
    const world = await worldOf('legacy', everyone)
    const takes = { inputs: all, log: null }
    const tool = on('test_input_required_result_list_roots')
    const asked = await world.call({ ...tool, takes })
    assert.ok(asked.kind === 'input')
    const [key = ''] = Object.keys(asked.inputRequests)
    const roots: JsonObject = { roots: [{ uri: 'file:///here', name: 'here', more: 1 }], more: 2 }
    const leg = { requestState: asked.requestState, inputResponses: { [key]: roots } }
    assert.equal(textOf(await world.call({ ...tool, takes, leg })), 'file:///here')
  })
})

describe('streams of an older server', () => {
  async function webOf(web: WebOptions) {
    const started = await startWeb(web)
    const world = createWorld({ web: configure({ url: started.url }) })
    open.push(world.servers, started)
    return { ...world, web: started }
  }
  const act = { server: 'web', tool: 'act' } as const
  const primed = (response: Parameters<WebOptions['act']>[1]) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' })
    response.end('id: e1\nretry: 50\ndata: \n\n')
  }

  test('that are closed in the middle of a call are taken up again, and the call is made once', async () => {
    const world = await worldOf('legacy')
    assert.equal(textOf(await world.call(on('test_reconnection'))), 'Still here after the stream was closed.')
  })

  test('that cannot be taken up again leave a call whose end is unknown, never one that was not sent', async () => {
    for (const status of [405, 404, 500]) {
      const world = await webOf({
        era: 'legacy',
        act: (_heard, response) => primed(response),
        onGet: (heard, response) =>
          heard.headers['last-event-id'] === undefined
            ? response.writeHead(405).end()
            : response.writeHead(status).end(),
      })
      assert.equal(problemOf(await world.call(act)), 'unknown disconnected', String(status))
      const posts = world.web.heard.filter(({ body }) => body.method === 'tools/call')
      assert.equal(posts.length, 1)
    }
  })

  test('that are closed again and again are given up', async () => {
    let gets = 0
    const world = await webOf({
      era: 'legacy',
      act: (_heard, response) => primed(response),
      onGet: (_heard, response) => {
        gets++
        response.writeHead(200, { 'Content-Type': 'text/event-stream' }).end()
      },
    })
    assert.equal(problemOf(await world.call(act)), 'unknown disconnected')
    assert.ok(gets <= 30, String(gets))
  })

  test('a newer revision has none: what is lost there is lost', async () => {
    const world = await webOf({ era: 'modern', act: (_heard, response) => primed(response) })
    assert.equal(problemOf(await world.call(act)), 'unknown disconnected')
    assert.ok(world.web.heard.every(({ method }) => method === 'POST'))
  })

  test('tell that a list has changed without a call that would show it', async () => {
    const world = await worldOf('legacy')
    const count = () => world.seen.at(-1)?.tools.length ?? 0
    await world.call(on('test_simple_text'))
    const before = count()
    await world.call({ ...on('test_trigger_tool_change'), task: 't_other' })
    await until(() => count() === before - 1)
  })

  test('a question on the stream of nobody’s request is put to the one call under way, and to none when there are two', async () => {
    const asks: ((message: object) => void)[] = []
    const world = await webOf({
      era: 'legacy',
      act: (heard, response, id) => {
        const params = { message: 'which?', requestedSchema: { type: 'object', properties: {} } }
        setTimeout(() => asks.at(-1)?.({ id: 'q', method: 'elicitation/create', params }), 100)
        const later = Object(heard.body.params).arguments.later ?? 400
        setTimeout(() => json(response, { id, result: said('answered') }), later)
      },
      onGet: (_heard, response) => void asks.push(stream(response)),
    })
    const alone = await world.call(act)
    assert.equal(alone.kind, 'input')
    const two = await Promise.all(['t_two', 't_two'].map((task) => world.call({ ...act, task })))
    assert.deepEqual(two.map(textOf), ['answered', 'answered'])
  })
})

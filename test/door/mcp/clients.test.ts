import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { Client as OldClient } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as OldTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { ElicitRequestSchema, ToolListChangedNotificationSchema } from '@modelcontextprotocol/sdk/types.js'
import { alpha, asking, settled, start, text, tool, type Harness } from './harness.ts'

/** The door with real clients: what they negotiate, send and accept is not ours to decide. */
let h: Harness
let open: { close(): Promise<void> }[] = []
beforeEach(async () => {
  h = await start({ holdMs: 60, legs: 3 })
  h.tools = [
    tool('files', 'read_file', {
      description: 'reads',
      outputSchema: { type: 'object', properties: { n: { type: 'number' } }, required: ['n'] },
    }),
    tool('files', 'write_file'),
    tool('mail', 'send', {
      inputSchema: { type: 'object', properties: { to: { type: 'string', 'x-mcp-header': 'To' } } },
    }),
    tool('files', 'greet', { kind: 'prompt', arguments: [{ name: 'who', required: true }] }),
    tool('files', 'file:///', { kind: 'resource', uri: 'file:///' }),
    tool('files', 'file:///{path}', { kind: 'template', uriTemplate: 'file:///{path}' }),
  ]
  h.resources = [{ server: 'files', uri: 'file:///a.txt', name: 'a' }]
})
afterEach(async () => {
  for (const client of open) await client.close()
  open = []
  await h.stop()
})

const headers = { requestInit: { headers: { Authorization: `Bearer ${alpha.token}` } } }

async function modernClient(path = '/mcp', capabilities = {}) {
  const client = new Client(
    { name: 'test', version: '1' },
    { capabilities, versionNegotiation: { mode: 'auto' } },
  )
  open.push(client)
  await client.connect(new StreamableHTTPClientTransport(new URL(h.url + path), headers))
  return client
}

async function legacyClient(path = '/mcp') {
  const client = new Client({ name: 'test', version: '1' }, { versionNegotiation: { mode: 'legacy' } })
  open.push(client)
  await client.connect(new StreamableHTTPClientTransport(new URL(h.url + path), headers))
  return client
}

async function oldClient(capabilities = {}) {
  const client = new OldClient({ name: 'test', version: '1' }, { capabilities })
  open.push(client)
  await client.connect(new OldTransport(new URL(`${h.url}/mcp`), headers))
  return client
}

describe('modern client (2026-07-28)', () => {
  test('negotiates, and sees the servers’ tools under their names and the broker’s own', async () => {
    const client = await modernClient()
    assert.equal(client.getNegotiatedProtocolVersion(), '2026-07-28')
    const { tools } = await client.listTools()
    assert.deepEqual(
      tools.map((t) => t.name),
      ['files__read_file', 'files__write_file', 'mail__send', 'countersign_resume', 'countersign_status'],
    )
    assert.match(client.getInstructions() ?? '', /Paths are relative/)
  })

  test('calls a tool, with its mirrored headers, and the path gets the arguments', async () => {
    const client = await modernClient()
    await client.listTools()
    const result = await client.callTool({ name: 'mail__send', arguments: { to: 'ünïcode@example' } })
    assert.deepEqual(result.content, [{ type: 'text', text: 'ok' }])
    assert.deepEqual(h.arrivals.at(-1)?.wanted, { server: 'mail', operation: 'call', name: 'send' })
    assert.deepEqual(h.arrivals.at(-1)?.arguments, { to: 'ünïcode@example' })
  })

  test('one server’s endpoint uses its own names', async () => {
    const client = await modernClient('/mcp/files')
    const { tools } = await client.listTools()
    assert.deepEqual(tools.map((t) => t.name).slice(0, 2), ['read_file', 'write_file'])
    await client.callTool({ name: 'write_file', arguments: {} })
    assert.deepEqual(h.arrivals.at(-1)?.wanted, { server: 'files', operation: 'call', name: 'write_file' })
  })

  test('reads resources, prompts and completions through the path, with URIs it can ask for again', async () => {
    h.script = (arrival) => {
      const { operation, name } = arrival.wanted
      if (operation === 'read')
        return settled(arrival, {
          kind: 'result',
          result: { contents: [{ uri: name, text: 'body' }] },
          isError: false,
        })
      if (operation === 'get')
        return settled(arrival, {
          kind: 'result',
          result: { messages: [{ role: 'user', content: { type: 'text', text: 'hi' } }] },
          isError: false,
        })
      return settled(arrival, { kind: 'result', result: { completion: { values: ['x'] } }, isError: false })
    }
    const client = await modernClient()
    const { resources } = await client.listResources()
    const uri = resources[0]?.uri ?? ''
    assert.equal(uri, 'countersign+files:file:///a.txt')
    const read = await client.readResource({ uri })
    assert.equal(read.contents[0]?.uri, uri)
    assert.deepEqual(h.arrivals.at(-1)?.arguments, { uri: 'file:///a.txt' })
    assert.equal(
      (await client.listResourceTemplates()).resourceTemplates[0]?.uriTemplate,
      'countersign+files:file:///{path}',
    )
    assert.equal((await client.listPrompts()).prompts[0]?.name, 'files__greet')
    await client.getPrompt({ name: 'files__greet', arguments: { who: 'you' } })
    assert.deepEqual(h.arrivals.at(-1)?.wanted, { server: 'files', operation: 'get', name: 'greet' })
    const completed = await client.complete({
      ref: { type: 'ref/prompt', name: 'files__greet' },
      argument: { name: 'who', value: 'y' },
    })
    assert.deepEqual(completed.completion.values, ['x'])
    assert.deepEqual(h.arrivals.at(-1)?.arguments, {
      ref: { type: 'ref/prompt', name: 'greet' },
      argument: { name: 'who', value: 'y' },
    })
  })

  test('comes back by itself while a person thinks, and gets the result under the same call id', async () => {
    h.script = asking(h)
    const client = await modernClient()
    const timer = setTimeout(() => h.answer('a_ask', 'approved'), 150)
    const result = await client.callTool({ name: 'files__write_file', arguments: { path: 'a' } })
    clearTimeout(timer)
    assert.deepEqual(result.content, [{ type: 'text', text: 'written' }])
    assert.equal(new Set(h.arrivals.map((arrival) => arrival.call)).size, 1)
  })

  test('after the last leg it is told to resume, and the resume runs the kept call', async () => {
    h.script = asking(h)
    const client = await modernClient()
    const waiting = await client.callTool({ name: 'files__write_file', arguments: { path: 'a' } })
    assert.equal(waiting.isError, true)
    const call = h.arrivals[0]?.call ?? ''
    assert.match(JSON.stringify(waiting.content), new RegExp(`countersign_resume.*${call}`))
    h.answer('a_ask', 'approved')
    const resumed = await client.callTool({ name: 'countersign_resume', arguments: { call } })
    assert.deepEqual(resumed.content, [{ type: 'text', text: 'written' }])
    assert.deepEqual(h.arrivals.at(-1)?.arguments, { path: 'a' })
    const again = await client.callTool({ name: 'countersign_resume', arguments: { call } })
    assert.match(JSON.stringify(again.content), /has been made already/)
  })

  test('answers what a server asks for; the next leg is another call of the same chain', async () => {
    h.script = (arrival) =>
      arrival.leg === null
        ? settled(
            arrival,
            {
              kind: 'input',
              inputRequests: {
                q: {
                  method: 'elicitation/create',
                  params: {
                    mode: 'form',
                    message: 'name?',
                    requestedSchema: { type: 'object', properties: { name: { type: 'string' } } },
                  },
                },
              },
              requestState: 'upstream',
            },
            'a_used',
          )
        : settled(arrival, text(JSON.stringify(arrival.leg)))
    const client = await modernClient('/mcp', { elicitation: {} })
    client.setRequestHandler('elicitation/create', async () => ({ action: 'accept', content: { name: 'x' } }))
    const result = await client.callTool({ name: 'files__write_file', arguments: {} })
    assert.deepEqual(
      JSON.parse(JSON.stringify(result.content))[0].text,
      JSON.stringify({
        requestState: 'upstream',
        inputResponses: { q: { action: 'accept', content: { name: 'x' } } },
        ask: 'a_used',
      }),
    )
    const [first, second] = h.arrivals
    assert.equal(second?.chain, first?.call)
    assert.notEqual(second?.call, first?.call)
  })

  test('gets progress as numbers, then the result', async () => {
    h.script = (arrival) => {
      arrival.progress({ progress: 0.5, total: 1 })
      arrival.progress({ progress: 0.4, total: 1 })
      return settled(arrival, text('done'))
    }
    const seen: unknown[] = []
    const client = await modernClient()
    const result = await client.callTool(
      { name: 'files__write_file', arguments: {} },
      { onprogress: (p) => seen.push(p) },
    )
    assert.deepEqual(result.content, [{ type: 'text', text: 'done' }])
    assert.deepEqual(seen, [{ progress: 0.5, total: 1 }])
  })

  test('cancelling aborts the arrival', async () => {
    const aborted = Promise.withResolvers<void>()
    h.script = (arrival) =>
      new Promise((resolve) => {
        arrival.signal.addEventListener('abort', () => {
          aborted.resolve()
          resolve(settled(arrival, { kind: 'unknown', problem: 'cancelled', detail: '' }))
        })
      })
    const client = await modernClient()
    const cancel = new AbortController()
    const called = client.callTool({ name: 'files__write_file', arguments: {} }, { signal: cancel.signal })
    while (h.arrivals.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    cancel.abort()
    await assert.rejects(called)
    await aborted.promise
  })

  test('hears that lists have changed', async () => {
    const client = await modernClient()
    const changed = Promise.withResolvers<void>()
    client.setNotificationHandler('notifications/tools/list_changed', async () => changed.resolve())
    await client.listen({ toolsListChanged: true })
    h.changed()
    await changed.promise
  })
})

describe('clients with sessions (before 2026-07-28)', () => {
  test('2.x in legacy mode initializes, lists, calls and ends', async () => {
    const client = await legacyClient()
    assert.equal(client.getNegotiatedProtocolVersion(), '2025-11-25')
    assert.equal((await client.listTools()).tools.length, 5)
    assert.deepEqual((await client.callTool({ name: 'files__write_file', arguments: {} })).content, [
      { type: 'text', text: 'ok' },
    ])
    await client.ping()
  })

  test('1.x keeps a denial readable although the tool promised an output schema', async () => {
    const { refuse } = await import('../../../src/call/refusal.ts')
    h.script = () => refuse('denied', 'decide', 'secret-reason', { hint: 'only on Sundays' })
    const client = await oldClient()
    await client.listTools()
    const result = await client.callTool({ name: 'files__read_file', arguments: {} })
    assert.equal(result.isError, true)
    assert.match(JSON.stringify(result), /denied.*only on Sundays/)
    assert.doesNotMatch(JSON.stringify(result), /secret-reason/)
  })

  test('1.x is asked on its stream for what a server needs', async () => {
    h.script = (arrival) =>
      arrival.leg === null
        ? settled(arrival, {
            kind: 'input',
            inputRequests: {
              q: {
                method: 'elicitation/create',
                params: { message: 'sure?', requestedSchema: { type: 'object', properties: {} } },
              },
            },
            requestState: null,
          })
        : settled(arrival, text(JSON.stringify(arrival.leg.inputResponses)))
    const client = await oldClient({ elicitation: {} })
    client.setRequestHandler(ElicitRequestSchema, async () => ({ action: 'decline' }))
    const result = await client.callTool({ name: 'files__write_file', arguments: {} })
    assert.deepEqual(result['content'], [{ type: 'text', text: '{"q":{"action":"decline"}}' }])
  })

  test('1.x without the capability gets a clear error', async () => {
    h.script = (arrival) =>
      settled(arrival, {
        kind: 'input',
        inputRequests: {
          q: {
            method: 'elicitation/create',
            params: { message: 'sure?', requestedSchema: { type: 'object', properties: {} } },
          },
        },
        requestState: null,
      })
    const client = await oldClient()
    const result = await client.callTool({ name: 'files__write_file', arguments: {} })
    assert.equal(result.isError, true)
    assert.match(JSON.stringify(result), /has not declared the capability/)
  })

  test('1.x is held for one leg, then told to resume', async () => {
    h.script = asking(h)
    const client = await oldClient()
    const held = await client.callTool({ name: 'files__write_file', arguments: {} })
    assert.match(JSON.stringify(held), /countersign_resume/)
    const called = client.callTool({ name: 'countersign_resume', arguments: { call: h.arrivals[0]?.call } })
    h.answer('a_ask', 'approved')
    assert.deepEqual((await called)['content'], [{ type: 'text', text: 'written' }])
  })

  test('1.x hears that lists have changed, and its cancel reaches the call', async () => {
    const client = await oldClient()
    const changed = Promise.withResolvers<void>()
    client.setNotificationHandler(ToolListChangedNotificationSchema, async () => changed.resolve())
    const tell = setInterval(() => h.changed(), 60)
    await changed.promise
    clearInterval(tell)

    const aborted = Promise.withResolvers<void>()
    h.script = (arrival) =>
      new Promise((resolve) => {
        arrival.signal.addEventListener('abort', () => {
          aborted.resolve()
          resolve(settled(arrival, { kind: 'unknown', problem: 'cancelled', detail: '' }))
        })
      })
    const cancel = new AbortController()
    const called = client.callTool({ name: 'files__write_file', arguments: {} }, undefined, {
      signal: cancel.signal,
    })
    while (h.arrivals.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    cancel.abort()
    await assert.rejects(called)
    await aborted.promise
  })
})

import assert from 'node:assert/strict'
import { mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { after, before, describe, test } from 'node:test'
import { startPlayground, type Playground } from '../../examples/servers/playground.ts'
import { configure, createWorld, problemOf, rootOf, textOf, type World } from './world.ts'

const distOf = (name: string): string =>
  fileURLToPath(new URL(`../../node_modules/@modelcontextprotocol/${name}/dist/index.js`, import.meta.url))

describe('@modelcontextprotocol/server-filesystem over stdio', () => {
  let folder = ''
  let world: World
  before(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 'countersign-')))
    await writeFile(join(folder, 'a.txt'), 'hello')
    const fs = configure({ command: process.execPath, args: [distOf('server-filesystem'), folder] })
    world = createWorld({ fs }, { limits: { spares: true } })
  })
  after(async () => {
    await world.servers.close()
    await rm(folder, { recursive: true })
  })

  test('lists, reads, writes, and stays in its folder', async () => {
    const catalogue = await world.servers.catalogue('fs')
    assert.ok(!('kind' in catalogue))
    assert.equal(catalogue.era, 'legacy')
    assert.ok(catalogue.tools.some(({ name }) => name === 'write_file'))
    const path = join(folder, 'a.txt')
    assert.equal(
      textOf(await world.call({ server: 'fs', tool: 'read_text_file', arguments: { path } })),
      'hello',
    )
    await world.call({ server: 'fs', tool: 'write_file', arguments: { path, content: 'bye' } })
    assert.equal(await readFile(path, 'utf8'), 'bye')
    const outside = await world.call({
      server: 'fs',
      tool: 'read_text_file',
      arguments: { path: '/etc/hostname' },
    })
    assert.ok(outside.kind === 'result' && outside.isError)
  })
})

describe('@modelcontextprotocol/server-everything over stdio', () => {
  let world: World
  before(() => {
    const everything = configure({ command: process.execPath, args: [distOf('server-everything'), 'stdio'] })
    world = createWorld({ everything })
  })
  after(() => world.servers.close())
  const server = 'everything'

  test('tools, resources, templates, prompts and completions', async () => {
    assert.equal(textOf(await world.call({ server, tool: 'echo', arguments: { message: 'hi' } })), 'Echo: hi')
    const catalogue = await world.servers.catalogue(server)
    assert.ok(!('kind' in catalogue))
    const uri = catalogue.resources[0]?.uri ?? ''
    const read = await world.call({
      server,
      tool: rootOf(uri),
      kind: 'resource',
      operation: 'read',
      arguments: { uri },
    })
    assert.ok(read.kind === 'result' && Array.isArray(read.result.contents))
    const got = await world.call({
      server,
      tool: 'args-prompt',
      kind: 'prompt',
      operation: 'get',
      arguments: { city: 'Bern' },
    })
    assert.ok(got.kind === 'result' && Array.isArray(got.result.messages))
    const argument = { name: 'resourceType', value: '' }
    const completed = await world.call({
      server,
      tool: 'resource-prompt',
      kind: 'prompt',
      operation: 'complete',
      arguments: { argument },
    })
    assert.ok(completed.kind === 'result' && completed.result.completion !== undefined)
  })

  test('its environment holds nothing of the broker’s', async () => {
    const environment: object = JSON.parse(textOf(await world.call({ server, tool: 'get-env' })))
    assert.deepEqual(Object.keys(environment), ['PATH'])
  })

  test('progress comes through as numbers', async () => {
    const heard: unknown[] = []
    await world.call({
      server,
      tool: 'trigger-long-running-operation',
      arguments: { duration: 0.2, steps: 2 },
      progress: (progress) => heard.push(progress),
    })
    assert.deepEqual(heard, [
      { progress: 1, total: 2 },
      { progress: 2, total: 2 },
    ])
  })

  test('its question suspends the call, and a person’s answer lets it go on', async () => {
    const tool = 'trigger-elicitation-request'
    const first = await world.call({ server, tool })
    assert.ok(first.kind === 'input', JSON.stringify(first))
    const inputResponses = { 'elicitation-1': { action: 'decline' } }
    const second = await world.call({
      server,
      tool,
      leg: { requestState: first.requestState, inputResponses },
    })
    assert.match(textOf(second), /declined/i)
  })
})

for (const eras of ['modern', 'legacy', 'both'] as const) {
  describe(`the playground, ${eras}`, () => {
    let playground: Playground
    let world: World
    const server = 'playground'
    before(async () => {
      playground = await startPlayground({ port: 0, eras })
      world = createWorld({ playground: configure({ url: playground.url }) })
    })
    after(async () => {
      await world.servers.close()
      await playground.close()
    })

    test('its era is found, and everything that it offers works', async () => {
      const catalogue = await world.servers.catalogue(server)
      assert.ok(!('kind' in catalogue))
      assert.equal(catalogue.era, eras === 'legacy' ? 'legacy' : 'modern')
      assert.match(
        textOf(await world.call({ server, tool: 'notes_search', arguments: { words: 'invoice 1042' } })),
        /n3/,
      )
      assert.match(
        textOf(
          await world.call({ server, tool: 'ticket_comment', arguments: { ticket: 'T-1', comment: 'é' } }),
        ),
        /public/,
      )
      const payment = { recipient: 'GB82WEST12345698765432', amount: 5 }
      await world.call({ server, tool: 'payment_send', arguments: payment })
      assert.deepEqual(playground.data.payments, [{ ...payment, reference: '' }])
      const template = { server, tool: 'playground://notes/{id}', kind: 'template' } as const
      const read = await world.call({
        ...template,
        operation: 'read',
        arguments: { uri: 'playground://notes/n1' },
      })
      assert.match(JSON.stringify(read), /nine to five/)
      const completed = await world.call({
        ...template,
        operation: 'complete',
        arguments: { argument: { name: 'id', value: 'n4' } },
      })
      assert.match(JSON.stringify(completed), /"n4"/)
      const prompt = await world.call({
        server,
        tool: 'summarise',
        kind: 'prompt',
        operation: 'get',
        arguments: { id: 'n1', tone: 'brief' },
      })
      assert.match(JSON.stringify(prompt), /Be brief/)
    })

    test('a count reports its progress', async () => {
      const heard: number[] = []
      const counting = { server, tool: 'count_slowly', arguments: { to: 3, pauseMs: 1 } } as const
      assert.equal(
        textOf(await world.call({ ...counting, progress: ({ progress }) => heard.push(progress) })),
        'Counted to 3.',
      )
      assert.deepEqual(heard, [1, 2, 3])
    })

    test('a changed description is found at the next call, and again when it is changed back', async () => {
      const search = { server, tool: 'notes_search', arguments: { words: 'office' } } as const
      assert.match(textOf(await world.call(search)), /n1/)
      playground.change()
      const fresh = createWorld({ playground: configure({ url: playground.url }) })
      const pinned = world.seen[0]?.tools.find(({ name }) => name === 'notes_search')
      const changed = await fresh.servers.catalogue(server)
      await fresh.servers.close()
      assert.ok(!('kind' in changed))
      assert.notDeepEqual(
        changed.tools.find(({ name }) => name === 'notes_search'),
        pinned,
      )
      if (eras === 'legacy') return
      assert.equal(problemOf(await world.call(search)), 'not-sent definition-changed')
      assert.match(
        textOf(await world.call({ server, tool: 'notes_add', arguments: { title: 'a', text: 'b' } })),
        /n5/,
      )
      playground.change(false)
      assert.match(textOf(await world.call(search)), /n1/)
    })

    if (eras === 'modern') {
      test('it asks for a form, and takes the answer in the next leg', async () => {
        const first = await world.call({ server, tool: 'ask_me' })
        assert.ok(first.kind === 'input')
        const inputResponses = { colour: { action: 'accept', content: { colour: 'blue' } } }
        const second = await world.call({
          server,
          tool: 'ask_me',
          leg: { requestState: first.requestState, inputResponses },
        })
        assert.equal(textOf(second), 'The colour is blue.')
      })

      test('a change is heard without any call', async () => {
        await sleep(100)
        const before = world.seen.length
        playground.change()
        for (let i = 0; i < 100 && world.seen.length === before; i++) await sleep(20)
        assert.match(
          JSON.stringify(world.seen.at(-1)?.tools.find(({ name }) => name === 'notes_search')),
          /payment_send/,
        )
      })
    }
  })
}

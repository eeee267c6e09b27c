import { describe, it } from 'node:test'
import { join } from 'node:path'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { startPlayground } from '../../examples/servers/playground.ts'
import { world } from '../world.ts'
import assert from 'node:assert/strict'

async function folder(text: string): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'countersign-policies-'))
  await writeFile(join(made, 'own.cedar'), text)
  return made
}

const search = (tool: string) =>
  `@id("search") @reason("searching is fine") permit (principal, action == Action::"playground/${tool}", resource);`

describe('policies of a fresh installation', () => {
  it('may name single tools: they are loaded when the first listing has shown them', async (t) => {
    const dir = await folder(search('notes_search'))
    const w = await world({ config: { policy: { dir } } })
    t.after(async () => {
      await w.close()
      await rm(dir, { recursive: true })
    })
    const client = await w.client()
    const found = await client.callTool({ name: 'playground__notes_search', arguments: { words: 'plan' } })
    assert.notEqual(found.isError, true)
    const added = await client.callTool({
      name: 'playground__notes_add',
      arguments: { title: 'a', text: 'b' },
    })
    assert.equal(added.isError, true)
    const loaded = (await w.entries()).filter(({ act }) => act === 'policy-loaded')
    assert.equal(loaded.length, 1)
    assert.deepEqual(w.faults, [])
  })

  it('about a server that is down are set aside, it stays closed, and its prohibitions hold when it is back', async (t) => {
    const away = await startPlayground({ port: 0 })
    const port = Number(new URL(away.url).port)
    await away.close()
    const dir = await folder(`@id("all") @reason("a test") permit (principal, action, resource);
// action == Action::"away/notes_search" in a comment moves nothing
@id("never") @reason("never") forbid (principal, action == Action::"away/notes_search", resource);
@id("nowhere") @reason("never") forbid (principal, action == Action::"playground/notes_add", resource);`)
    const seen = await startPlayground({ port: 0 })
    const w = await world({
      config: { policy: { dir } },
      servers: { playground: { url: seen.url }, away: { url: away.url } },
    })
    t.after(async () => {
      await w.close()
      await seen.close()
      await rm(dir, { recursive: true })
    })
    assert.match(String(w.faults[0]), /`away` could not be listed .*set aside/)
    const client = await w.client()
    const call = async (name: string, args: { readonly [name: string]: string }) =>
      (await client.callTool({ name, arguments: args })).isError !== true
    assert.equal(await call('playground__notes_search', { words: 'plan' }), true)
    assert.equal(await call('playground__notes_add', { title: 'a', text: 'b' }), false)
    const loaded = async () => (await w.entries()).filter(({ act }) => act === 'policy-loaded').length
    assert.equal(await loaded(), 0, 'no other node may follow half a set')

    const back = await startPlayground({ port })
    t.after(() => back.close())
    const path = '/v1/servers/away/refresh'
    const refreshed = await w.broker.api({ method: 'POST', path, body: {}, level: 'terminal' })
    assert.equal(refreshed.body['listed'], true, JSON.stringify(refreshed.body))
    while ((await loaded()) === 0) await new Promise((resolve) => setTimeout(resolve, 20))
    await w.reviewAll()
    assert.equal(await call('away__notes_add', { title: 'a', text: 'b' }), true)
    assert.equal(await call('away__notes_search', { words: 'plan' }), false)
    assert.equal(await call('playground__notes_add', { title: 'a', text: 'b' }), false)
  })

  it('about several servers, one of them down, keep the broker from starting: a prohibition may not be lost', async (t) => {
    const away = await startPlayground({ port: 0 })
    await away.close()
    const dir = await folder(
      `@id("both") @reason("never") forbid (principal, action in [Action::"away/a", Action::"playground/notes_add"], resource);`,
    )
    t.after(() => rm(dir, { recursive: true }))
    const servers = { away: { url: away.url } }
    await assert.rejects(world({ config: { policy: { dir } }, servers }), /own\.cedar:1:/)
  })

  it('that name a tool which does not exist keep the broker from starting, and nothing stays behind', async (t) => {
    const dir = await folder(search('notes_serch'))
    t.after(() => rm(dir, { recursive: true }))
    await assert.rejects(world({ config: { policy: { dir } } }), /own\.cedar:1:.*did you mean.*notes_search/)
  })
})

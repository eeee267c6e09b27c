import { describe, it } from 'node:test'
import { join } from 'node:path'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
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

  it('that name a tool which does not exist keep the broker from starting, and nothing stays behind', async (t) => {
    const dir = await folder(search('notes_serch'))
    t.after(() => rm(dir, { recursive: true }))
    await assert.rejects(world({ config: { policy: { dir } } }), /own\.cedar:1:.*did you mean.*notes_search/)
  })
})

import { describe, it } from 'node:test'
import { createRetention } from '../../src/compose/upkeep.ts'
import { verifyLog } from '../../src/verify.ts'
import { join } from 'node:path'
import { world } from '../world.ts'
import { writeFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { randomBytes } from 'node:crypto'
import assert from 'node:assert/strict'

const meta = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientCapabilities': {},
}

describe('payloads beside the log', () => {
  it('are erased one by one by a proven person; the entry and its proof stay', async (t) => {
    const w = await world()
    t.after(w.close)
    const params = { name: 'playground__notes_search', arguments: { words: 'plan' }, _meta: meta }
    const token = await w.token()
    await w.post({ jsonrpc: '2.0', id: 1, method: 'tools/call', params }, { token })
    const intent = (await w.entries()).find(({ kind }) => kind === 'intent')
    const body = { commitment: intent?.['arguments'], reason: 'asked for by the owner' }
    const erase = (level: 'terminal' | undefined) =>
      w.broker.api({
        method: 'POST',
        path: '/v1/audit/erase',
        body,
        headers: { authorization: `Bearer ${w.broker.operatorKey}` },
        ...(level === undefined ? {} : { level }),
      })
    assert.equal((await erase(undefined)).status, 403)
    assert.equal((await erase('terminal')).status, 200)
    assert.equal((await erase('terminal')).status, 404)
    await w.broker.publisher.tick()
    const report = await verifyLog({ directory: join(w.home, 'log'), vkey: w.broker.publisher.vkey })
    assert.equal(report.ok, true)
    const acts = (await w.entries()).filter(({ act }) => act === 'payload-erased')
    assert.equal(acts.length, 1)
  })

  it('are erased when they are older than the retention, and looked at once an hour', async () => {
    const asked: unknown[] = []
    const ground = {
      config: { audit: { retentionDays: 10 } },
      acts: () => new Uint8Array(1),
      store: { log: { erase: async (what: unknown) => asked.push(what) } },
    }
    const day = 86_400_000
    const keep = createRetention()
    // Only what retention reads is there.
    const parts = { ground } as unknown as Parameters<typeof keep>[0]
    await keep(parts, 100 * day)
    await keep(parts, 100 * day + 1000)
    await keep(parts, 100 * day + 3_600_000)
    assert.deepEqual(asked, [{ olderThan: 90 * day }, { olderThan: 90 * day + 3_600_000 }])
  })
})

describe('the sealing key', () => {
  it('may come from a command, and then lies nowhere on this disk', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'countersign-seal-'))
    t.after(() => rm(folder, { recursive: true }))
    const key = randomBytes(32).toString('base64')
    const script = join(folder, 'key.mjs')
    await writeFile(script, `console.log(${JSON.stringify(key)})`)
    const w = await world({ config: { sealKeyCommand: [process.execPath, script] } })
    t.after(w.close)
    const by = {
      method: 'PUT',
      path: '/v1/secrets/token',
      body: { value: 'a value' },
      level: 'terminal',
    } as const
    assert.equal((await w.broker.api(by)).status, 200)
    const { readdir } = await import('node:fs/promises')
    assert.ok(!(await readdir(join(w.home, 'keys'))).includes('seal.key'))
  })
})

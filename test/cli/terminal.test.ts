import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { atTerminal, hasScript } from './pseudo.ts'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { createAccesses } from '../../src/cli/bridge/access.ts'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { loadAgentKey } from '../../src/identity/key.ts'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { readRunFile } from '../../src/cli/run.ts'
import { startPlayground } from '../../examples/servers/playground.ts'
import { tmpdir } from 'node:os'

/** A person at a terminal of their own: the broker in one, commands in another. In order. */

const passphrase = 'nobody says yes'

describe('at a terminal', { skip: hasScript ? false : 'needs `script` of util-linux' }, () => {
  let root = ''
  let serving: ReturnType<typeof atTerminal>
  let client: Client
  let playground: Awaited<ReturnType<typeof startPlayground>>
  const home = () => join(root, 'home')
  const run = (...args: string[]) => atTerminal([...args, '--config', join(root, 'countersign.jsonc')], root)
  const writes = () =>
    client.callTool({ name: 'playground__notes_add', arguments: { title: 'a', text: 'b' } })
  const pays = () =>
    client.callTool({ name: 'playground__payment_send', arguments: { recipient: 'x', amount: 1 } })

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'countersign-terminal-'))
    playground = await startPlayground({ port: 0 })
    const config = {
      home: 'home',
      operator: 'owner',
      listen: { agents: '127.0.0.1:0', operators: '127.0.0.1:0' },
      servers: { playground: { url: playground.url } },
      agents: { coder: {} },
    }
    await writeFile(join(root, 'countersign.jsonc'), JSON.stringify(config))
    serving = run('serve')
  })
  after(async () => {
    serving.kill()
    await client?.close().catch(() => undefined)
    await playground.close()
    await rm(root, { recursive: true, force: true })
  })

  test('serve says where agents go, what is protected and what to paste', async () => {
    await serving.sees(/agents +http:\/\/127\.0\.0\.1:\d+\/mcp/)
    await serving.sees(/playground +0 reviewed +\d+ in quarantine/)
    await serving.sees(/claude mcp add countersign -- .* connect --agent coder --home/)
    await serving.sees(/no passphrase is set/)
    await serving.sees(/Ctrl-C ends/)
  })

  test('what gives authority sends to the passphrase that is not set yet', async () => {
    const review = run('server', 'review', 'playground', '--accept')
    await review.sees(/none is set yet[\s\S]*hint: press p in the terminal that runs the broker/)
    assert.deepEqual(await review.leaves(), { code: 4, restored: true })
  })

  test('p in the serving terminal sets the first passphrase, and nothing of it is shown', async () => {
    serving.type('p')
    await serving.sees(/new passphrase/)
    serving.type('the first of all\r')
    await serving.sees(/once more: /)
    serving.type('the first of all\r')
    await serving.sees(/passphrase set/)
    assert.ok(!serving.screen().includes('the first of'))
  })

  test('another takes its place elsewhere, for whoever knows the first', async () => {
    const set = run('passphrase')
    await set.sees(/new passphrase: /)
    // Pasted at once: what is beyond a line answers the next question.
    set.type(`${passphrase}\r${passphrase}\rthe first of all\r`)
    await set.sees(/owner can now approve/)
    assert.deepEqual(await set.leaves(), { code: 0, restored: true })
    assert.ok(!set.screen().includes(passphrase) && !set.screen().includes('the first'))
  })

  test('Ctrl-C in the middle of a passphrase leaves nothing behind', async () => {
    const set = run('passphrase')
    await set.sees(/new passphrase: /)
    set.type('half of \u0003')
    const { code, restored } = await set.leaves()
    assert.deepEqual([code, restored, set.screen().includes('half')], [130, true, false])
  })

  test('a review asks once for the passphrase, three times at most', async () => {
    const wrong = run('server', 'review', 'playground', '--accept', 'notes_add')
    for (let i = 0; i < 3; i += 1) {
      await wrong.sees(/your passphrase: /)
      wrong.type('something else\r')
    }
    await wrong.sees(/error: the passphrase is not right/)
    assert.equal((await wrong.leaves()).code, 4)
    // Wrong ones are followed by a wait.
    await new Promise((over) => setTimeout(over, 1500))
    const right = run('server', 'review', 'playground', '--accept', 'notes_add', 'payment_send')
    await right.sees(/your passphrase: /)
    right.type(`${passphrase}\r`)
    await right.sees(/accepted 2/)
    assert.equal((await right.leaves()).code, 0)
  })

  test('y in the serving terminal approves the write that is on its screen', async () => {
    const { agents } = await readRunFile(home())
    const access = createAccesses({
      agent: 'coder',
      key: await loadAgentKey(home(), 'coder'),
      base: async () => agents,
    })
    const { token } = await access.get()
    client = new Client({ name: 'test', version: '1' })
    const headers = { authorization: `Bearer ${token}` }
    await client.connect(
      new StreamableHTTPClientTransport(new URL('/mcp', agents), { requestInit: { headers } }),
    )
    const written = writes()
    await serving.sees(/a call asks for you[\s\S]*playground\/notes_add[\s\S]*y approve once/)
    await new Promise((settled) => setTimeout(settled, 500))
    serving.type('y')
    await serving.sees(/approved, for this one call/)
    assert.match(JSON.stringify(await written), /Added note/)
  })

  test('while a passphrase is typed there, the same ask is approved here; no letter of it answers anything', async () => {
    const paid = pays()
    const [, ask = ''] = await serving.sees(/a call asks for you\s+ask: +(a_\w+)[\s\S]*y approve once/)
    await new Promise((settled) => setTimeout(settled, 500))
    serving.type('y')
    await serving.sees(/needs your passphrase/)
    serving.type('zebra s')
    const approving = run('approve', ask)
    await approving.sees(/tool: +playground\/payment_send[\s\S]*your passphrase: /)
    approving.type(`${passphrase}\r`)
    await approving.sees(/approved a_/)
    assert.deepEqual(await approving.leaves(), { code: 0, restored: true })
    assert.match(JSON.stringify(await paid), /"content"/)
    serving.type('ays yes\r')
    await serving.sees(/that one is over/)
    assert.doesNotMatch(serving.screen(), /everything is stopped|refused \(a_/)
    assert.ok(!serving.screen().includes('zebra'))
  })

  test('s stops every call at once, and s again lets them go on', async () => {
    serving.type('s')
    await serving.sees(/everything is stopped/)
    assert.match(JSON.stringify(await writes().catch((problem: unknown) => String(problem))), /revoked/i)
    await new Promise((settled) => setTimeout(settled, 1100))
    serving.type('s')
    await serving.sees(/running again/)
  })

  test('Ctrl-C ends it: the terminal is as it was, and nothing runs', async () => {
    serving.type('\u0003')
    await serving.sees(/stopping …/)
    assert.deepEqual(await serving.leaves(), { code: 0, restored: true })
    assert.ok(!existsSync(join(home(), 'run.json')))
  })
})

import { agents } from '../scene.ts'
import { expectRefused, linesOf, unasked } from '../acts.ts'
import { entryOf, expect, expectEntries, text, type Step } from '../step.ts'

/** What a task does not cover is not there: not in the list, and not when it is called by name. */
export const listStep: Step = {
  name: 'list',
  title: 'A filtered list',
  async play(scene, tell) {
    const coder = await scene.client('coder')
    const { tools } = await coder.listTools()
    const seen = tools.map(({ name }) => name).filter((name) => !name.startsWith('countersign_'))
    const covered = agents.coder.map((id) => id.replace('/', '__'))
    expect(seen.join() === covered.join(), `the list to be ${covered.join(', ')}`, seen)
    const all = scene.broker.core.registry.tools({ state: 'reviewed' }).filter(({ kind }) => kind === 'tool')
    expect(all.length > seen.length, 'more tools to be registered than the task covers', all.length)
    const opened = await scene.log.fresh()
    expectEntries(opened, ['act:task-opened'])
    tell({
      who: 'agent',
      did: '`coder` launches `countersign connect`, which proves its key and opens its task, and lists the tools.',
      came: [...seen, `(${seen.length} of the ${all.length} tools that are registered)`],
      entries: opened,
    })

    const hidden = await unasked(scene, 'coder', {
      tool: 'playground__payment_send',
      arguments: { recipient: 'GB82WEST12345698765432', amount: 1 },
    })
    expectRefused(hidden, 'unknown-tool')
    const invented = await unasked(scene, 'coder', { tool: 'playground__no_such_tool', arguments: {} })
    expect(invented.text === hidden.text, 'a hidden tool and none at all to be told alike', invented.text)
    const entries = await scene.log.fresh()
    expectEntries(entries, ['refused:unknown-tool', 'refused:unknown-tool'])
    tell({
      who: 'agent',
      did: 'It calls `playground__payment_send` all the same, and then a tool that nobody has. It is told the same.',
      came: linesOf(hidden),
      entries,
    })

    const { status, said } = await withoutKey(new URL('/mcp', scene.broker.urls.agents))
    expect(status === 401, 'a call with a made-up token to be answered with 401', status)
    const turned = await scene.log.fresh()
    expectEntries(turned, ['refused:unauthenticated'])
    expect(
      entryOf(turned, 'refused:unauthenticated').entry['who'] === null,
      'the entry to name nobody',
      turned,
    )
    tell({
      who: 'stranger',
      did: 'Another program on this machine calls `/mcp` with a token of its own making.',
      came: [`${status}: ${said}`],
      entries: turned,
    })
  },
}

async function withoutKey(url: URL): Promise<{ readonly status: number; readonly said: string }> {
  const name = 'filesystem__read_text_file'
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      authorization: 'Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJjb2RlciJ9.',
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/call',
      'mcp-name': name,
    },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: {
        name,
        arguments: { path: '/' },
        _meta: {
          'io.modelcontextprotocol/protocolVersion': '2026-07-28',
          'io.modelcontextprotocol/clientInfo': { name: 'stranger', version: '1' },
          'io.modelcontextprotocol/clientCapabilities': {},
        },
      },
    }),
  })
  const body: unknown = await response.json()
  return { status: response.status, said: text(body, 'error', 'message') }
}

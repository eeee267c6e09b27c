import type { JsonObject } from '../../src/lib/json.ts'
import type { World } from '../world.ts'

/** One call of a tool at this very node (revision 2026-07-28), whatever stands in front of it. */
export async function callTool(
  { broker }: World,
  token: string,
  name: string,
  args: JsonObject,
): Promise<{ readonly ok: boolean; readonly text: string }> {
  const response = await fetch(new URL('/mcp', broker.here.agents), {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/call',
      'mcp-name': name,
      authorization: `Bearer ${token}`,
    },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: {
        name,
        arguments: args,
        _meta: {
          'io.modelcontextprotocol/protocolVersion': '2026-07-28',
          'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' },
          'io.modelcontextprotocol/clientCapabilities': {},
        },
      },
    }),
  })
  const text = await response.text()
  const data = [...text.matchAll(/^data: (.*)$/gm)].at(-1)?.[1] ?? text
  const answer = JSON.parse(data)
  return { ok: answer.result !== undefined && answer.result.isError !== true, text: data }
}

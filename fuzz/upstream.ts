import { createServer } from 'node:http'
import { encode } from '../src/server/mirror.ts'

/** What reached the server: one entry for each `tools/call`, as its bytes were. */
export type Reached = {
  readonly body: string
  readonly headers: { readonly [name: string]: string | string[] | undefined }
}

export type Upstream = {
  readonly url: string
  readonly reached: Reached[]
  close(): Promise<void>
}

const text = { type: 'string' }

export const tools = [
  {
    name: 'echo',
    description: 'Reads back what it is given.',
    inputSchema: {
      type: 'object',
      properties: { text, data: {}, region: { ...text, 'x-mcp-header': 'Region' }, list: { type: 'array', items: { type: 'integer' } } },
      additionalProperties: true,
    },
  },
  { name: 'write_note', description: 'Writes a note.', inputSchema: { type: 'object', properties: { text }, required: ['text'] } },
  { name: 'leak', description: 'Reads the credential back.', inputSchema: { type: 'object', properties: { form: text } } },
  { name: 'ask_me', description: 'Reads an answer.', inputSchema: { type: 'object', properties: {} } },
  { name: 'fail', description: 'Reads nothing.', inputSchema: { type: 'object', properties: { code: { type: 'integer' } } } },
] as const // prettier-ignore

/**
 * A server of revision 2026-07-28 in a few lines: fast, and it keeps what reached it. It gives the credential that it was
 * lent back in any form that is asked for.
 */
export async function startUpstream(): Promise<Upstream> {
  const reached: Reached[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => void chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString('utf8')
      const message: { id?: unknown; method?: unknown; params?: Params } = JSON.parse(body)
      if (message.id === undefined) return void response.writeHead(202).end()
      if (message.method === 'tools/call') reached.push({ body, headers: { ...request.headers } })
      const answer = answerTo(
        String(message.method),
        message.params ?? {},
        String(request.headers.authorization),
      )
      const text = JSON.stringify({ jsonrpc: '2.0', id: message.id, ...answer })
      response.writeHead(200, { 'Content-Type': 'application/json' }).end(text)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    url: `http://127.0.0.1:${port}/mcp`,
    reached,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

type Params = {
  readonly name?: string
  readonly uri?: string
  readonly arguments?: { readonly [name: string]: unknown }
}

const result = (more: object): object => ({ result: { resultType: 'complete', ...more } })

function answerTo(method: string, params: Params, credential: string): object {
  switch (method) {
    case 'server/discover':
      return result({ supportedVersions: ['2026-07-28'], capabilities: { tools: {}, prompts: {}, resources: {} }, ttlMs: 3_600_000, cacheScope: 'public' })
    case 'tools/list':
      return result({ tools, ttlMs: 3_600_000, cacheScope: 'public' })
    case 'prompts/list':
      return result({ prompts: [{ name: 'greet', arguments: [{ name: 'who', required: true }] }], ttlMs: 3_600_000 })
    case 'resources/list':
      return result({ resources: [{ uri: 'memo:///one', name: 'one' }], ttlMs: 3_600_000 })
    case 'resources/templates/list':
      return result({ resourceTemplates: [{ uriTemplate: 'memo:///{+name}', name: 'memo' }], ttlMs: 3_600_000 })
    case 'resources/read':
      return result({ contents: [{ uri: params.uri ?? '', text: 'memo' }] })
    case 'prompts/get':
      return result({ messages: [{ role: 'user', content: { type: 'text', text: 'hello' } }] })
    case 'completion/complete':
      return result({ completion: { values: ['a', 'b'] } })
    case 'tools/call':
      return called(params, credential)
    default:
      return { error: { code: -32601, message: 'no such method' } }
  }
} // prettier-ignore

function called({ name, arguments: args = {} }: Params, credential: string): object {
  switch (name) {
    case 'leak':
      return result({ content: [{ type: 'text', text: said(credential, String(args['form'])) }], structuredContent: { credential } })
    case 'ask_me':
      return { result: { resultType: 'input_required', inputRequests: { q: { method: 'elicitation/create', params: { message: 'well?', requestedSchema: { type: 'object', properties: {} } } } }, requestState: 's' } }
    case 'fail':
      return { error: { code: Number.isSafeInteger(args['code']) ? args['code'] : -32603, message: `failed for ${credential}`, data: { credential } } }
    default:
      return result({ content: [{ type: 'text', text: JSON.stringify(args) }], structuredContent: { arguments: args } })
  }
} // prettier-ignore

function said(credential: string, form: string): string {
  const bytes = Buffer.from(credential)
  switch (form) {
    case 'base64':
      return bytes.toString('base64')
    case 'hex':
      return bytes.toString('hex')
    case 'percent':
      return encodeURIComponent(credential)
    case 'header':
      return encode(credential)
    default:
      return credential
  }
}

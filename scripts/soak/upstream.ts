import { createServer } from 'node:http'

/**
 * A server for the soak, in a process of its own: `node upstream.ts [TOOLS]`. Prints its address, then serves until its
 * input ends. With a number it offers that many tools, all of which change with each `POST /change`.
 */
const many = Number(process.argv[2] ?? 0)
let change = 0

const tool = (name: string, description: string, readOnly = true) => ({
  name,
  description,
  inputSchema: { type: 'object', properties: { id: { type: 'string' }, bytes: { type: 'integer' } } },
  annotations: { readOnlyHint: readOnly },
})
const few = [
  tool('get_note', 'Reads a note.'),
  tool('get_large', 'Reads a large note.'),
  tool('get_never', 'Reads what never comes.'),
]
const offered = () =>
  many === 0
    ? few
    : Array.from({ length: many }, (_, n) => tool(`get_${n}`, `Reads record ${n} of table ${change}.`))

const page = 1_000

function resultOf(method: string, params: Params): object | null {
  switch (method) {
    case 'server/discover':
      return { supportedVersions: ['2026-07-28'], capabilities: { tools: {} }, _meta: {} }
    case 'tools/list': {
      const at = Number(params?.cursor ?? 0)
      const tools = offered()
      const next = at + page < tools.length ? { nextCursor: String(at + page) } : {}
      return {
        tools: tools.slice(at, at + page),
        ttlMs: 60_000,
        cacheScope: 'private',
        resultType: 'complete',
        ...next,
      }
    }
    case 'tools/call':
      return params?.name === 'get_never'
        ? null
        : {
            content: [{ type: 'text', text: 'x'.repeat(params?.arguments?.bytes ?? 200) }],
            resultType: 'complete',
          }
    default:
      return {}
  }
}

type Params =
  | { readonly name?: string; readonly cursor?: string; readonly arguments?: { readonly bytes?: number } }
  | undefined

const server = createServer((request, response) => {
  let body = ''
  request.on('data', (data: Buffer) => (body += data.toString()))
  request.on('end', () => {
    if (request.url === '/change') {
      change += 1
      return void response.writeHead(204).end()
    }
    const { id, method, params } = JSON.parse(body)
    const result = resultOf(method, params)
    if (result === null) return
    response
      .writeHead(200, { 'content-type': 'application/json' })
      .end(JSON.stringify({ jsonrpc: '2.0', id, result }))
  })
  response.on('error', () => undefined)
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  if (typeof address === 'object' && address !== null)
    process.stdout.write(`http://127.0.0.1:${address.port}/mcp\n`)
})
process.stdin.resume().on('end', () => process.exit(0))

import { createServer, type ServerResponse } from 'node:http'
import { createInterface } from 'node:readline'
import { once } from 'node:events'
import type { Writable } from 'node:stream'

/**
 * A server that answers as servers should not: as a program over stdio (`odd.ts`), or over HTTP (`odd.ts --http`), where
 * its first line of output is its address. What it does is in the name of the tool.
 */
const names = ['quick', 'never', 'bytewise', 'huge', 'announced', 'stream', 'flood', 'endless', 'grumble']

const tools = names.map((name) => ({
  name: `get_${name}`,
  description: `Gets something, ${name}.`,
  inputSchema: { type: 'object', properties: { size: { type: 'integer' } } },
  annotations: { readOnlyHint: true },
}))

const hundred = 100 * 1024 * 1024
const filler = 'x'.repeat(64 * 1024)

type Request = {
  readonly id?: number
  readonly method: string
  readonly params?: {
    readonly name?: string
    readonly arguments?: { readonly size?: number }
    readonly _meta?: { readonly progressToken?: number }
  }
}

const answer = (id: number | undefined, result: object): string =>
  JSON.stringify({ jsonrpc: '2.0', id, result })
const done = (id: number | undefined, text = 'ok'): string =>
  answer(id, { content: [{ type: 'text', text }], resultType: 'complete' })
const progress = (token: number | undefined, n: number): string =>
  JSON.stringify({
    jsonrpc: '2.0',
    method: 'notifications/progress',
    params: { progressToken: token, progress: n },
  })
const grumble = JSON.stringify({
  jsonrpc: '2.0',
  method: 'notifications/message',
  params: { level: 'info', data: 'x'.repeat(900) },
})

function known({ id, method }: Request): string | null {
  switch (method) {
    case 'server/discover':
      return answer(id, { supportedVersions: ['2026-07-28'], capabilities: { tools: {} }, _meta: {} })
    case 'tools/list':
      return answer(id, { tools, ttlMs: 60_000, cacheScope: 'private', resultType: 'complete' })
    default:
      return method === 'tools/call'
        ? null
        : JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32601, message: 'no' } })
  }
}

/** Writes as fast as the other end takes it; false when it has gone. */
async function write(out: Writable, text: string): Promise<boolean> {
  if (out.destroyed) return false
  if (!out.write(text)) await Promise.race([once(out, 'drain'), once(out, 'close')]).catch(() => undefined)
  return !out.destroyed
}

async function huge(out: Writable, before: string, after: string): Promise<void> {
  if (!(await write(out, before))) return
  for (let sent = 0; sent < hundred; sent += filler.length) if (!(await write(out, filler))) return
  await write(out, after)
}

const [head = '', tail = ''] = done(0, '|').split('|')
const headOf = (id: number | undefined): string => head.replace('"id":0', `"id":${id}`)

async function overStdio(request: Request): Promise<void> {
  const { id, params } = request
  const out = process.stdout
  const simple = known(request)
  if (simple !== null) return id === undefined ? undefined : void (await write(out, `${simple}\n`))
  switch (params?.name?.slice('get_'.length)) {
    case 'never':
      return
    case 'bytewise': {
      for (const byte of done(id, 'x'.repeat(params.arguments?.size ?? 100))) await write(out, byte)
      return void (await write(out, '\n'))
    }
    case 'huge':
      return huge(out, headOf(id), `${tail}\n`)
    case 'flood':
      for (let n = 0; n < 200_000; n++)
        if (!(await write(out, `${progress(params._meta?.progressToken, n)}\n`))) return
      return void (await write(out, `${done(id)}\n`))
    case 'endless':
      while (await write(out, `${grumble}\n`));
      return
    case 'grumble':
      for (let n = 0; n < 4_000; n++) process.stderr.write('x')
      return void (await write(out, `${done(id)}\n`))
    default:
      await write(out, `${done(id)}\n`)
  }
}

async function overHttp(request: Request, response: ServerResponse): Promise<void> {
  const { id, params } = request
  const json = { 'content-type': 'application/json' }
  const simple = known(request)
  if (simple !== null) return void response.writeHead(200, json).end(simple)
  const stream = () => response.writeHead(200, { 'content-type': 'text/event-stream' })
  switch (params?.name?.slice('get_'.length)) {
    case 'never':
      return
    case 'bytewise':
      response.writeHead(200, json)
      for (const byte of done(id, 'x'.repeat(params.arguments?.size ?? 100))) await write(response, byte)
      return void response.end()
    case 'announced':
      response.writeHead(200, { ...json, 'content-length': String(hundred) })
      return huge(response, headOf(id), tail)
    case 'huge':
      await huge(response.writeHead(200, json), headOf(id), tail)
      return void response.end()
    case 'stream':
      await huge(stream(), `data: ${headOf(id)}`, `${tail}\n\n`)
      return void response.end()
    case 'flood':
      stream()
      for (let n = 0; n < 20_000; n++)
        if (!(await write(response, `data: ${progress(params._meta?.progressToken, n)}\n\n`))) return
      return void response.end(`data: ${done(id)}\n\n`)
    case 'endless':
      stream()
      while (await write(response, `data: ${grumble}\n\n`));
      return
    default:
      response.writeHead(200, json).end(done(id))
  }
}

if (process.argv.includes('--http')) {
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (data: Buffer) => (body += data.toString()))
    request.on('end', () => void overHttp(JSON.parse(body), response))
    response.on('error', () => undefined)
  })
  server.listen(0, '127.0.0.1', () => {
    const address = server.address()
    if (typeof address === 'object' && address !== null)
      process.stdout.write(`http://127.0.0.1:${address.port}/mcp\n`)
  })
  process.stdin.resume().on('end', () => process.exit(0))
} else {
  createInterface({ input: process.stdin }).on('line', (line) => void overStdio(JSON.parse(line)))
  process.stdout.on('error', () => process.exit(0))
}

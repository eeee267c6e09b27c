import { canonical } from '../../src/lib/jcs.ts'
import { createAgents, openHttp } from '../../src/server/http.ts'
import { createServer, type Server, type Socket } from 'node:net'
import { destination } from '../../src/server/destination.ts'
import { frame } from '../raw.ts'
import { within, type Question } from '../../src/server/channel.ts'
import { bytes, hold, type Input, type Target } from '../target.ts'

/**
 * A server over HTTP that answers a call with any bytes at all. The first line says how: `modern` or `legacy`, and `end` or
 * `stay` for what it does with the connection afterwards. Whatever it sends: one answer, in time, and the request is
 * never sent a second time.
 */
export async function open(): Promise<Target> {
  const evil = await startEvil()
  return {
    atOnce: 8,
    most: 8192,
    words,
    seeds: seeds.map(bytes),
    run: (input) => run(evil, input),
    async close() {
      for (const socket of evil.sockets) socket.destroy()
      await new Promise((resolve) => evil.server.close(resolve))
    },
  }
}

type Evil = {
  readonly server: Server
  readonly port: number
  readonly turn: { now: number }
  readonly sockets: Set<Socket>
  /** By path: what to answer with, and how often a call came. */
  readonly plays: Map<string, { readonly answer: Buffer; readonly stays: boolean; calls: number }>
}

async function startEvil(): Promise<Evil> {
  const sockets = new Set<Socket>()
  const plays: Evil['plays'] = new Map()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => undefined)
    let came = Buffer.alloc(0)
    socket.on('data', (chunk: Buffer) => {
      came = Buffer.concat([came, chunk])
      const [request] = frame(came).requests
      const play = request === undefined ? undefined : plays.get(request.path)
      if (request === undefined || play === undefined) return
      came = Buffer.alloc(0)
      if (request.body.includes('"tools/call"')) play.calls += 1
      if (play.stays) socket.write(play.answer)
      else socket.end(play.answer)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return { server, port, turn: { now: 0 }, sockets, plays }
}

/** Statuses that say that nothing was begun, and redirections, which are not followed. */
const before = /HTTP\/1\.[01] (?:30[1278]|40[013456]|41[1345]|421|429|431)/

async function run(evil: Evil, input: Input): Promise<void> {
  const words = Buffer.from(input).toString('latin1')
  const [first = '', ...rest] = words.split('\n')
  const path = `/mcp/${++evil.turn.now}`
  const answer = Buffer.from(rest.join('\n'), 'latin1')
  const play = { answer, stays: first.includes('stay'), calls: 0 }
  evil.plays.set(path, play)
  const where = destination(`http://127.0.0.1:${evil.port}${path}`, { allowPrivate: false })
  hold(!('problem' in where), 'loopback may be reached')
  const agents = createAgents()
  const dropped: string[] = []
  const channel = openHttp({
    destination: where,
    agents,
    maxBytes: 16 * 1024,
    connectMs: 2_000,
    events: { onListChanged: () => undefined, onUpdated: () => undefined, onDropped: (what) => void dropped.push(what) },
  })
  if (first.startsWith('legacy')) channel.speak('legacy', '2025-11-25')
  const heard: unknown[] = []
  try {
    const asked = channel.ask({
      method: 'tools/call',
      params: { name: 'a', arguments: {} },
      headers: { Authorization: 'Bearer x' },
      inputs: ['form', 'url'],
      onProgress: (progress) => void heard.push(progress),
      onQuestion: (question: Question) => question.refuse(),
      onLog: (line) => void canonical({ ...line }),
    })
    const reply = await within(asked, { ms: 120 })
    hold(play.calls <= 1, 'I2: a request is sent once', () => String(play.calls))
    if (reply.kind === 'not-sent' && play.calls > 0)
      hold(before.test(words), 'I2: what came to the server is not told as unsent', () => JSON.stringify(reply))
    canonical({ ...reply })
    for (const each of heard) hold(/^\{"progress":[-\d.e+]+(?:,"total":[-\d.e+]+)?\}$/.test(JSON.stringify(each)), 'I3: progress is numbers alone')
  } finally {
    await channel.close()
    agents.destroy()
    evil.plays.delete(path)
  }
} // prettier-ignore

const result = JSON.stringify({ jsonrpc: '2.0', id: 1, result: { content: [{ type: 'text', text: 'x' }] } })
const head = (more: string): string => `HTTP/1.1 200 OK\r\n${more}\r\n`
const json = (body: string): string =>
  `${head(`Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`)}${body}`
const events = (body: string): string => `${head('Content-Type: text/event-stream\r\n')}${body}`
const said = (message: object): string =>
  `event: message\ndata: ${JSON.stringify({ jsonrpc: '2.0', ...message })}\n\n`

const seeds = [
  `modern end\n${json(result)}`,
  `legacy end\n${json(result)}`,
  `modern stay\n${json(result.slice(0, 20))}`,
  `modern end\n${events(said({ method: 'notifications/progress', params: { progressToken: 1, progress: 1, total: 2, message: 'words' } }) + `data: ${result}\n\n`)}`,
  `legacy stay\n${events(`id: a1\nretry: 5\n${said({ id: 7, method: 'elicitation/create', params: { message: 'm', requestedSchema: { type: 'object', properties: {} } } })}: ping\n\ndata: ${result}\n\n`)}`,
  `legacy end\n${events('id: a1\nretry: 1\ndata:\n\n')}`,
  `modern end\n${head('Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n')}5\r\ndata:\r\n0\r\n\r\n`,
  ...[202, 204, 301, 307, 400, 401, 404, 408, 429, 500, 503].map((status) => `modern end\nHTTP/1.1 ${status} x\r\nContent-Length: 0\r\nLocation: http://127.0.0.1:1/\r\n\r\n`),
  `modern end\nHTTP/1.1 100 Continue\r\n\r\n${json(result)}`,
  `modern end\nHTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nx`,
  `modern end\n${head('Content-Type: application/json\r\nContent-Length: 99999999\r\n')}{}`,
  `modern end\n${head('Content-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n')}abc`,
  `modern end\n${head('Mcp-Session-Id: a\r\nMcp-Session-Id: b\r\nSet-Cookie: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\nContent-Length: 3\r\n')}{}`,
  `modern end\n${JSON.stringify({ jsonrpc: '2.0', id: 1, error: { code: -32021, message: 'm', data: { requiredCapabilities: { elicitation: {} } } } })}`,
  'modern end\n',
] // prettier-ignore

const words = ['modern ', 'legacy ', 'end\n', 'stay\n', 'HTTP/1.1 ', 'HTTP/1.0 ', ' 200 OK\r\n', ' 404 x\r\n', ' 101 x\r\n', '\r\n', '\r\n\r\n', '\n\n', 'Content-Length: ', 'Content-Type: application/json\r\n', 'Content-Type: text/event-stream\r\n', 'Transfer-Encoding: chunked\r\n', 'Connection: close\r\n', 'Mcp-Session-Id: x\r\n', 'data: ', 'event: ', 'id: ', 'retry: 0\n', result, '"id":1', '"id":2', '"id":null', '"result":', '"error":', '"method":"ping"', '"method":"sampling/createMessage"', '"method":"notifications/message"', '"params":', '"progressToken":1', '0\r\n\r\n', 'ffffffff\r\n', ':'] // prettier-ignore

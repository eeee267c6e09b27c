import { Agent, createServer, request as send, type IncomingMessage, type ServerResponse } from 'node:http'
import { answering, usage } from '../child.ts'
import { listenOn } from './listen.ts'

/**
 * The floor: what a JSON proxy costs in Node that does nothing else. It reads the body, parses it, forwards its own
 * serialisation, parses the answer and sends its own serialisation of that. No check, no store, no log.
 */
const upstream = Number(process.argv[2])
const agent = new Agent({ keepAlive: true, maxSockets: 128 })

const gather = (message: IncomingMessage, done: (value: unknown) => void): void => {
  const chunks: Buffer[] = []
  message.on('data', (chunk: Buffer) => chunks.push(chunk))
  message.on('end', () => done(JSON.parse(Buffer.concat(chunks).toString())))
}

const json = (body: string) => ({
  'Content-Type': 'application/json',
  'Content-Length': Buffer.byteLength(body),
})

function forward(incoming: IncomingMessage, value: unknown, response: ServerResponse): void {
  const body = JSON.stringify(value)
  const headers: { [name: string]: string | number } = {
    ...json(body),
    Accept: 'application/json, text/event-stream',
  }
  for (const name of ['mcp-protocol-version', 'mcp-method', 'mcp-name']) {
    const given = incoming.headers[name]
    if (typeof given === 'string') headers[name] = given
  }
  const outgoing = send(
    { host: '127.0.0.1', port: upstream, path: '/mcp', method: 'POST', agent, headers },
    (answer) =>
      gather(answer, (answered) => {
        const text = JSON.stringify(answered)
        response.writeHead(answer.statusCode ?? 502, json(text))
        response.end(text)
      }),
  )
  outgoing.on('error', () => response.writeHead(502).end())
  outgoing.end(body)
}

const server = createServer((incoming, response) => {
  gather(incoming, (value) => forward(incoming, value, response))
})
server.keepAliveTimeout = 60_000
const port = await listenOn(server, 0)
answering({ port: () => port, usage })

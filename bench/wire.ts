import { connect, type Socket } from 'node:net'

/**
 * One kept connection that speaks just enough HTTP/1.1 to measure with: whole requests as bytes, answers by
 * `Content-Length`. A client of Node's own costs more than the floor that is to be measured.
 */
export type Wire = {
  /** One request at a time. */
  send(request: string, done: (answer: Answer) => void): void
  readonly busy: boolean
  close(): void
}

export type Answer = { readonly status: number; readonly body: string }

const broken: Answer = { status: 0, body: '' }

export function openWire(port: number): Promise<Wire> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject)
      resolve(wireOn(socket))
    })
  })
}

function wireOn(socket: Socket): Wire {
  let waiting: ((answer: Answer) => void) | null = null
  let held = ''
  const end = (answer: Answer): void => {
    const told = waiting
    waiting = null
    held = ''
    told?.(answer)
  }
  socket.setEncoding('latin1')
  socket.on('data', (chunk) => {
    held += chunk
    const answer = read(held)
    if (answer !== null) end(answer)
  })
  socket.on('error', () => end(broken))
  socket.on('close', () => end(broken))
  return {
    send(request, done) {
      waiting = done
      if (socket.writable) socket.write(request)
      else end(broken)
    },
    get busy() {
      return waiting !== null
    },
    close: () => void socket.destroy(),
  }
}

/** An answer that is whole, or null. */
function read(text: string): Answer | null {
  const head = text.indexOf('\r\n\r\n')
  if (head < 0) return null
  const named = /\r\ncontent-length: ?(\d+)/i.exec(text.slice(0, head))
  const length = Number(named?.[1] ?? 0)
  const body = text.slice(head + 4)
  return body.length < length ? null : { status: Number(text.slice(9, 12)), body }
}

export type CallAs = { readonly path: string; readonly token: string; readonly tool: string }

const meta =
  '"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1.0.0"},"io.modelcontextprotocol/clientCapabilities":{}}'

/** A whole request of MCP 2026-07-28; the body's text is ASCII. */
export function request(
  { path, token }: Pick<CallAs, 'path' | 'token'>,
  message: { readonly id: number; readonly method: string; readonly name?: string; readonly params: string },
): string {
  const { id, method, name, params } = message
  const body = `{"jsonrpc":"2.0","id":${id},"method":"${method}","params":{${params}${params === '' ? '' : ','}${meta}}}`
  const named = name === undefined ? '' : `Mcp-Name: ${name}\r\n`
  return `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: ${method}\r\n${named}Content-Length: ${body.length}\r\n\r\n${body}`
}

const content = 'Quarterly numbers: up 4.2 percent, see the table. '.repeat(4)

/** A call whose arguments nobody has sent before. */
export const call = (as: CallAs, id: number): string =>
  request(as, {
    id,
    method: 'tools/call',
    name: as.tool,
    params: `"name":"${as.tool}","arguments":{"path":"/srv/data/report-${id}.txt","content":"${content}"}`,
  })

/** The tool ran and its own text came back: neither an error of the protocol nor a refusal in words. */
export const isAnswered = ({ status, body }: Answer): boolean =>
  status === 200 && body.includes('A line of plain text') && !body.includes('"isError":true')

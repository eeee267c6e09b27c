import { createMcpHandler, McpServer } from '@modelcontextprotocol/server'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { importJWK, jwtVerify } from 'jose'
import { NodeStreamableHTTPServerTransport, toNodeHandler } from '@modelcontextprotocol/node'
import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import type { KeyPair } from '../../src/identity/key.ts'

/** Stands for the agents' listener: tokens of its own, and the SDK's servers behind them, in both eras. */
export type FakeBroker = {
  readonly url: string
  readonly state: State
  /** Every token given so far is dead; its task lives. */
  expireTokens(): void
  /** The task has ended: its token is dead, and it gets no fresh one. */
  endTask(): void
  /** Sessions are forgotten, as after a new start. */
  forgetSessions(): void
  stop(): Promise<void>
}

type State = {
  expiresIn: number
  readonly opened: string[]
  readonly refreshed: string[]
  readonly revoked: string[]
  readonly seen: { readonly method: string | undefined; readonly headers: IncomingMessage['headers'] }[]
  readonly cancelled: string[]
  initialized: number
}

type Session = {
  readonly server: McpServer
  readonly transport: NodeStreamableHTTPServerTransport
  readonly token: string
}

export async function startBroker(key: KeyPair, port = 0): Promise<FakeBroker> {
  const state: State = {
    expiresIn: 300,
    opened: [],
    refreshed: [],
    revoked: [],
    seen: [],
    cancelled: [],
    initialized: 0,
  }
  const live = new Map<string, string>()
  const ended = new Set<string>()
  const sessions = new Map<string, Session>()
  const modern = toNodeHandler(createMcpHandler(() => tools(state), { legacy: 'reject' }))
  const server = createServer((request, response) => void serve(request, response))
  const publicKey = await importJWK({ ...key.publicKey }, key.algorithm)

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (request.url === '/token' || request.url === '/revoke') return tokens(request, response)
    const token = (request.headers.authorization ?? '').replace('Bearer ', '')
    if (!live.has(token)) return void response.writeHead(401).end()
    state.seen.push({ method: request.method, headers: request.headers })
    return request.headers['mcp-method'] === undefined
      ? legacy(request, response, live.get(token) ?? '')
      : modern(asMcp(request), response)
  }
  const tokens = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const form = new URLSearchParams(await textOf(request))
    const audience = `${urlOf(server)}/token`
    await jwtVerify(form.get('client_assertion') ?? '', publicKey, {
      issuer: 'coder',
      subject: 'coder',
      audience,
    })
    if (request.url === '/revoke') {
      state.revoked.push(live.get(form.get('token') ?? '') ?? 'unknown')
      return void response.writeHead(200).end('{}')
    }
    const detail = z
      .tuple([z.object({ type: z.literal('task'), task: z.string().optional() })])
      .parse(JSON.parse(form.get('authorization_details') ?? ''))[0]
    if (detail.task !== undefined && ended.has(detail.task)) {
      const body = { error: 'invalid_grant', error_description: 'closed', task_ended: true }
      return void response.writeHead(400, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    }
    const task = detail.task ?? `t_${state.opened.length + 1}`
    ;(detail.task === undefined ? state.opened : state.refreshed).push(task)
    const token = `token-${randomUUID()}`
    live.set(token, task)
    const body = {
      access_token: token,
      token_type: 'Bearer',
      expires_in: state.expiresIn,
      authorization_details: [{ type: 'task', id: task }],
    }
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  }
  const legacy = async (request: IncomingMessage, response: ServerResponse, task: string): Promise<void> => {
    const id = request.headers['mcp-session-id']
    if (typeof id === 'string') {
      const session = sessions.get(id)
      // A session belongs to the identity it was begun with.
      if (session === undefined || session.token !== task) return void response.writeHead(404).end()
      return session.transport.handleRequest(request, response)
    }
    const mcp = tools(state)
    const transport: NodeStreamableHTTPServerTransport = new NodeStreamableHTTPServerTransport({
      sessionIdGenerator: () => randomUUID(),
      onsessioninitialized: (made) => {
        state.initialized += 1
        sessions.set(made, { server: mcp, transport, token: task })
      },
    })
    await mcp.connect(transport)
    await transport.handleRequest(request, response)
  }

  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    url: urlOf(server),
    state,
    expireTokens: () => live.clear(),
    endTask() {
      for (const task of live.values()) ended.add(task)
      live.clear()
    },
    forgetSessions: () => sessions.clear(),
    async stop() {
      for (const { transport } of sessions.values()) await transport.close()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function tools(state: State): McpServer {
  const server = new McpServer(
    { name: 'broker', version: '1.0.0' },
    { capabilities: { tools: { listChanged: true } } },
  )
  server.registerTool(
    'echo',
    { inputSchema: z.object({ text: z.string().meta({ 'x-mcp-header': 'Text' }) }) },
    async ({ text }, context) => {
      const token = context.mcpReq._meta?.progressToken
      if (token !== undefined) {
        await context.mcpReq.notify({
          method: 'notifications/progress',
          params: { progressToken: token, progress: 1 },
        })
        // A client that reads both at once takes the answer first and hears of no progress.
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
      return { content: [{ type: 'text', text }] }
    },
  )
  server.registerTool('wait', { inputSchema: z.object({}) }, (_args, context) => {
    const { promise, resolve } = Promise.withResolvers<{ content: [] }>()
    context.mcpReq.signal.addEventListener('abort', () => {
      state.cancelled.push('wait')
      resolve({ content: [] })
    })
    return promise
  })
  server.registerTool('ask', { inputSchema: z.object({}) }, async (_args, context) => {
    const answer = await context.mcpReq.elicitInput({
      message: 'a colour?',
      requestedSchema: { type: 'object', properties: { colour: { type: 'string' } } },
    })
    return { content: [{ type: 'text', text: String(answer.content?.['colour']) }] }
  })
  server.registerTool('change', { inputSchema: z.object({}) }, () => {
    server.sendToolListChanged()
    return { content: [] }
  })
  return server
}

function urlOf(server: Server): string {
  const address = server.address()
  return typeof address === 'object' && address !== null ? `http://127.0.0.1:${address.port}` : ''
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request) text += String(chunk)
  return text
}

/** The adapter's own view of a request, which knows no undefined. */
function asMcp(request: IncomingMessage): Parameters<ReturnType<typeof toNodeHandler>>[0] {
  const { method = 'GET', url = '/', headers } = request
  return { method, url, headers, [Symbol.asyncIterator]: () => request[Symbol.asyncIterator]() }
}

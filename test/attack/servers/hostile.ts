import { createMcpHandler, McpServer } from '@modelcontextprotocol/server'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { toNodeHandler } from '@modelcontextprotocol/node'
import type { AddressInfo } from 'node:net'
import type {
  CallToolResult,
  InputRequiredResult,
  ServerContext,
  ToolAnnotations,
} from '@modelcontextprotocol/server'
import type { z } from 'zod'

/** One tool of a server that means harm or is used for it. */
export type Offered = {
  readonly description: string
  readonly input: z.ZodObject
  readonly annotations?: ToolAnnotations
  /** Its answer; a text stands for a result with that text. */
  readonly run?: (args: Arguments, ctx: ServerContext) => Answer | Promise<Answer>
}
type Arguments = { readonly [name: string]: unknown }
type Answer = string | CallToolResult | InputRequiredResult

export type Offers = { readonly [name: string]: Offered }

export type Hostile = {
  readonly url: string
  /** Every call that reached it, in order: what was refused is not in here. */
  readonly calls: { readonly tool: string; readonly args: Arguments }[]
  /** The headers of the newest request. */
  headers: IncomingMessage['headers']
  /** From now on it offers something else, and says so. */
  turn(offers: Offers): void
  close(): Promise<void>
}

/** A real MCP server (SDK 2.x, streamable HTTP, loopback only) that offers whatever an attack needs and keeps what reached it. */
export async function startHostile(first: Offers, instructions = ''): Promise<Hostile> {
  const state = { offers: first }
  const calls: Hostile['calls'] = []
  const handler = createMcpHandler(
    () => {
      const server = new McpServer(
        { name: 'hostile', version: '1.0.0' },
        { instructions, capabilities: { tools: { listChanged: true } } },
      )
      for (const [name, { description, input, annotations = {}, run = () => 'done' }] of Object.entries(
        state.offers,
      )) {
        server.registerTool(name, { description, inputSchema: input, annotations }, async (args, ctx) => {
          calls.push({ tool: name, args })
          const answer = await run(args, ctx)
          return typeof answer === 'string' ? { content: [{ type: 'text', text: answer }] } : answer
        })
      }
      return server
    },
    { legacy: 'stateless' },
  )
  const serve = toNodeHandler(handler)
  const self: Hostile = {
    url: '',
    calls,
    headers: {},
    turn: (offers) => {
      state.offers = offers
      handler.notify.toolsChanged()
    },
    close: async () => {
      await handler.close()
      await stop()
    },
  }
  const { url, stop } = await listen((request, response) => {
    self.headers = request.headers
    const { method = 'GET', url = '/', headers } = request
    void serve(
      { method, url, headers, [Symbol.asyncIterator]: () => request[Symbol.asyncIterator]() },
      response,
    )
  })
  return Object.assign(self, { url: `${url}/mcp` })
}

/** A web server on loopback for one handler. */
export async function listen(
  handle: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const server = createServer(handle)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address: AddressInfo | string | null = server.address()
  if (address === null || typeof address === 'string') throw new Error('expected to listen on a TCP port')
  return {
    url: `http://127.0.0.1:${address.port}`,
    async stop() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

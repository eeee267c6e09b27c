import { McpServer, fromJsonSchema, type ServerContext } from '@modelcontextprotocol/server'
import { z } from 'zod'
import { addAsking } from './asking.ts'
import { addReading } from './reading.ts'
import { image, text, wav } from './content.ts'
import type { RequestStateCodec } from '@modelcontextprotocol/server'

/** What outlives one server object: the SDK makes one per request (2026-07-28) or per session (older). */
export type House = {
  /** Told when a list or a resource changed: to the subscriptions of one era, and to every open session of the other. */
  readonly changed: (what: Change) => void
  /** Whether the tool and the prompt that come and go are there. */
  readonly there: { tool: boolean; prompt: boolean }
  /** Integrity of the state that a client carries for this server. */
  readonly codec: RequestStateCodec
}

export type Change =
  | { readonly kind: 'tools' }
  | { readonly kind: 'prompts' }
  | { readonly kind: 'resource'; readonly uri: string }

/** A server object, and how it is told that something changed elsewhere. */
export type Offered = { readonly server: McpServer; readonly tell: (what: Change) => void }

/** Everything that the scenarios of the MCP suite call, under the names that they use. */
export function offer(house: House): Offered {
  const server = new McpServer(
    { name: 'conformance-everything', version: '1.0.0' },
    {
      capabilities: {
        tools: { listChanged: true },
        prompts: { listChanged: true },
        resources: { subscribe: true, listChanged: true },
        logging: {},
        completions: {},
      },
      requestState: { verify: house.codec.verify },
    },
  )
  addContent(server)
  addInterim(server)
  addSchemas(server)
  const tell = addChanges(server, house)
  addAsking(server, house)
  addReading(server)
  return { server, tell }
}

const said = (value: string) => ({ content: [text(value)] })

function addContent(server: McpServer): void {
  server.registerTool('test_simple_text', { description: 'Answers with text.' }, () =>
    said('This is a simple text response for testing.'),
  )
  server.registerTool('test_image_content', { description: 'Answers with an image.' }, () => ({
    content: [image],
  }))
  server.registerTool('test_audio_content', { description: 'Answers with audio.' }, () => ({
    content: [{ type: 'audio', data: wav, mimeType: 'audio/wav' }],
  }))
  server.registerTool('test_embedded_resource', { description: 'Answers with a resource.' }, () => ({
    content: [
      {
        type: 'resource',
        resource: {
          uri: 'test://embedded-resource',
          mimeType: 'text/plain',
          text: 'This is an embedded resource content.',
        },
      },
    ],
  }))
  server.registerTool('test_multiple_content_types', { description: 'Answers with three kinds.' }, () => ({
    content: [
      text('Multiple content types test:'),
      image,
      {
        type: 'resource',
        resource: {
          uri: 'test://mixed-content-resource',
          mimeType: 'application/json',
          text: JSON.stringify({ test: 'data', value: 123 }),
        },
      },
    ],
  }))
  server.registerTool('test_error_handling', { description: 'Always fails.' }, () => {
    throw new Error('This tool intentionally returns an error for testing')
  })
}

const pause = (ms: number) => new Promise((after) => setTimeout(after, ms))

async function logThrice({ mcpReq }: ServerContext): Promise<void> {
  const lines = ['Tool execution started', 'Tool processing data', 'Tool execution completed']
  for (const [index, line] of lines.entries()) {
    if (index > 0) await pause(50)
    await mcpReq.log('info', line, 'conformance')
  }
}

function addInterim(server: McpServer): void {
  server.registerTool('test_tool_with_logging', { description: 'Logs three lines.' }, async (ctx) => {
    await logThrice(ctx)
    return said('Three lines were logged.')
  })
  server.registerTool('test_logging_tool', { description: 'Logs when the client wants it.' }, async (ctx) => {
    await ctx.mcpReq.log('info', 'a line for whoever asked for one', 'conformance')
    return said('Logged, if anybody wanted it.')
  })
  server.registerTool(
    'test_tool_with_progress',
    { description: 'Tells its progress.' },
    async ({ mcpReq }) => {
      const progressToken = mcpReq._meta?.progressToken
      for (const progress of [0, 50, 100]) {
        if (progress > 0) await pause(50)
        if (progressToken === undefined) continue
        await mcpReq.notify({
          method: 'notifications/progress',
          params: { progressToken, progress, total: 100, message: `at ${progress} of 100` },
        })
      }
      return said('Done.')
    },
  )
  server.registerTool(
    'test_reconnection',
    { description: 'Lets go of the stream in the middle of the call.' },
    async ({ http }) => {
      http?.closeSSE?.()
      await pause(100)
      return said('Still here after the stream was closed.')
    },
  )
}

/** JSON Schema 2020-12 with composition, conditions and anchors (SEP-1613, SEP-2106). */
const rich = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  $defs: {
    address: {
      $anchor: 'addressDef',
      type: 'object',
      properties: { street: { type: 'string' }, city: { type: 'string' } },
    },
  },
  properties: {
    name: { type: 'string' },
    address: { $ref: '#/$defs/address' },
    contactMethod: { type: 'string', enum: ['phone', 'email'] },
    phone: { type: 'string' },
    email: { type: 'string' },
  },
  allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
  if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
  // oxlint-disable-next-line no-thenable -- a keyword of JSON Schema
  then: { required: ['phone'] },
  else: { required: ['email'] },
  additionalProperties: false,
} as const

function addSchemas(server: McpServer): void {
  server.registerTool(
    'json_schema_2020_12_tool',
    { description: 'Tool with JSON Schema 2020-12 features', inputSchema: fromJsonSchema(rich) },
    () => said('The arguments fit.'),
  )
  server.registerTool(
    'test_x_mcp_header',
    {
      description: 'Takes an argument that is mirrored into a header.',
      inputSchema: z.object({ region: z.string().meta({ 'x-mcp-header': 'Region' }) }),
    },
    ({ region }) => said(`The region is ${region}.`),
  )
}

function addChanges(server: McpServer, { there, changed }: House): Offered['tell'] {
  const tool = server.registerTool('test_comes_and_goes', { description: 'Is not always there.' }, () =>
    said('Here.'),
  )
  const prompt = server.registerPrompt(
    'test_prompt_comes_and_goes',
    { description: 'Is not always there.' },
    () => ({ messages: [{ role: 'user', content: text('Here.') }] }),
  )
  const watched = new Set<string>()
  // Only sessions subscribe by a request; on 2026-07-28 the SDK keeps the subscriptions.
  server.server.setRequestHandler('resources/subscribe', ({ params }) => {
    watched.add(params.uri)
    return {}
  })
  server.server.setRequestHandler('resources/unsubscribe', ({ params }) => {
    watched.delete(params.uri)
    return {}
  })
  const tell = (what: Change): void => {
    if (tool.enabled !== there.tool) tool.update({ enabled: there.tool })
    if (prompt.enabled !== there.prompt) prompt.update({ enabled: there.prompt })
    if (what.kind === 'resource' && watched.has(what.uri))
      server.server.sendResourceUpdated({ uri: what.uri }).catch(() => undefined)
  }
  tell({ kind: 'tools' })
  addTriggers(server, { there, changed })
  return tell
}

function addTriggers(server: McpServer, { there, changed }: Pick<House, 'there' | 'changed'>): void {
  server.registerTool('test_trigger_tool_change', { description: 'Changes the list of tools.' }, () => {
    there.tool = !there.tool
    changed({ kind: 'tools' })
    return said('The list of tools has changed.')
  })
  server.registerTool('test_trigger_prompt_change', { description: 'Changes the list of prompts.' }, () => {
    there.prompt = !there.prompt
    changed({ kind: 'prompts' })
    return said('The list of prompts has changed.')
  })
  server.registerTool('test_touch_resource', { description: 'Changes the watched resource.' }, () => {
    changed({ kind: 'resource', uri: 'test://watched-resource' })
    return said('The watched resource has changed.')
  })
}

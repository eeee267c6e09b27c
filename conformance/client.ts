import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { startWorld } from './world.ts'

/**
 * The command that the suite runs for its client scenarios, with the address of the scenario's server as its last
 * argument: a broker is started with this server behind it, and the calls that the scenario waits for are made through
 * the broker by a client of the official SDK. What the scenario sees of a client is the broker.
 */

const server = 'scenario'

type Tool = Awaited<ReturnType<Client['listTools']>>['tools'][number]
type Drive = (client: Client, tools: readonly Tool[]) => Promise<unknown>

async function call(client: Client, name: string, args: { [name: string]: unknown } = {}): Promise<void> {
  const result = await client.callTool({ name, arguments: args })
  // The suite keeps what its command writes: whoever looks for the cause of a failure finds it there.
  process.stderr.write(`${name}: ${JSON.stringify(result).slice(0, 500)}\n`)
}

/** Called with what its schema names: a text for a text, and so on. */
const sampleFor = ({ inputSchema }: Tool): { [name: string]: unknown } =>
  Object.fromEntries((inputSchema.required ?? []).map((name) => [name, 'value']))

const each: Drive = async (client, tools) => {
  for (const tool of tools) await call(client, tool.name, sampleFor(tool))
}

const drives: { readonly [scenario: string]: Drive } = {
  tools_call: (client) => call(client, 'add_numbers', { a: 2, b: 3 }),
  'elicitation-sep1034-client-defaults': (client) => call(client, 'test_client_elicitation_defaults'),
  'sse-retry': (client) => call(client, 'test_reconnection'),
  'sep-2322-client-request-state': async (client) => {
    await Promise.all([call(client, 'test_mrtr_echo_state'), call(client, 'test_mrtr_unrelated')])
    await call(client, 'test_mrtr_no_state')
    await call(client, 'test_mrtr_no_result_type')
  },
  'http-standard-headers': async (client, tools) => {
    await each(client, tools)
    for (const { uri } of (await client.listResources()).resources) await client.readResource({ uri })
    for (const { name } of (await client.listPrompts()).prompts) await client.getPrompt({ name })
  },
  'http-custom-headers': async (client) => {
    for (const { name, arguments: args } of readToolCalls()) await call(client, name, args)
  },
  'http-invalid-tool-headers': each,
  'json-schema-2020-12-preservation': async (client, tools) => {
    const schema = tools.find(({ name }) => name === 'json_schema_2020_12_tool')?.inputSchema
    await call(client, 'json_schema_echo', { schema })
  },
}

/** The calls that a scenario prescribes. `null` is left out: a boolean that is null fits no schema, and is not sent. */
function readToolCalls(): readonly {
  readonly name: string
  readonly arguments: { [name: string]: unknown }
}[] {
  const context: unknown = JSON.parse(process.env['MCP_CONFORMANCE_CONTEXT'] ?? '{}')
  const calls = typeof context === 'object' && context !== null ? Reflect.get(context, 'toolCalls') : []
  if (!Array.isArray(calls)) return []
  return calls.map((one: { readonly name: string; readonly arguments: object }) => ({
    name: one.name,
    arguments: Object.fromEntries(Object.entries(one.arguments).filter(([, value]) => value !== null)),
  }))
}

/** Fills a form with its defaults, as a person would who agrees with all of them. */
function agree(schema: unknown): { [name: string]: string | number | boolean | string[] } {
  const properties: unknown =
    typeof schema === 'object' && schema !== null ? Reflect.get(schema, 'properties') : {}
  const fields = typeof properties === 'object' && properties !== null ? Object.entries(properties) : []
  return Object.fromEntries(
    fields.map(([name, field]) => [name, 'default' in field ? field.default : field.type === 'boolean']),
  )
}

async function drive(url: string, scenario: string, version: string): Promise<void> {
  const world = await startWorld({ servers: { [server]: { url } }, unreviewable: 'skip' })
  const client = new Client(
    { name: 'conformance-driver', version: '1.0.0' },
    {
      capabilities: { elicitation: { form: {} } },
      versionNegotiation: { mode: version >= '2026-07-28' ? 'auto' : 'legacy' },
    },
  )
  client.setRequestHandler('elicitation/create', ({ params }) => ({
    action: 'accept',
    content: 'requestedSchema' in params ? agree(params.requestedSchema) : {},
  }))
  try {
    const headers = { authorization: `Bearer ${await world.token()}` }
    const endpoint = new URL(`/mcp/${server}`, world.broker.urls.agents)
    await client.connect(new StreamableHTTPClientTransport(endpoint, { requestInit: { headers } }))
    const { tools } = await client.listTools()
    const own = tools.filter(({ name }) => !name.startsWith('countersign_'))
    await drives[scenario]?.(client, own)
  } finally {
    await client.close()
    await world.close()
  }
}

const url = process.argv.at(-1) ?? ''
const { MCP_CONFORMANCE_SCENARIO: scenario = '', MCP_CONFORMANCE_PROTOCOL_VERSION: version = '2026-07-28' } =
  process.env
await drive(url, scenario, version)

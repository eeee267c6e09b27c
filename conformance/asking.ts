import {
  CLIENT_CAPABILITIES_META_KEY,
  acceptedContent,
  inputRequired,
  inputResponse,
  type McpServer,
  type ServerContext,
} from '@modelcontextprotocol/server'
import { z } from 'zod'
import { text } from './content.ts'
import type { House } from './offer.ts'

/**
 * Tools that need something of the client before they can answer. Each is written once: on revision 2026-07-28 the
 * client is asked by the result, on older ones the SDK asks it by a request and enters the handler again.
 */
export function addAsking(server: McpServer, house: House): void {
  addOlder(server)
  addForms(server)
  addKinds(server)
  addStates(server, house)
  addCapabilities(server)
}

const said = (value: string) => ({ content: [text(value)] })
const refused = (value: string) => ({ ...said(value), isError: true })

const sample = (prompt: string, maxTokens: number) =>
  inputRequired.createMessage({ messages: [{ role: 'user', content: text(prompt) }], maxTokens })

const name = z.object({ name: z.string() })
const askName = (message: string) => inputRequired.elicit({ message, requestedSchema: name })

/** The ones whose names come from revisions in which a server asks by a request. */
function addOlder(server: McpServer): void {
  server.registerTool(
    'test_sampling',
    { description: 'Has the client ask its model.', inputSchema: z.object({ prompt: z.string() }) },
    ({ prompt }, { mcpReq }) => {
      const view = inputResponse(mcpReq.inputResponses, 'answer')
      if (view.kind === 'sampling') return said(`LLM response: ${JSON.stringify(view.result.content)}`)
      return inputRequired({ inputRequests: { answer: sample(prompt, 100) } })
    },
  )
  server.registerTool(
    'test_elicitation',
    { description: 'Asks the person for two fields.', inputSchema: z.object({ message: z.string() }) },
    ({ message }, { mcpReq }) => {
      const view = inputResponse(mcpReq.inputResponses, 'who')
      if (view.kind === 'elicit')
        return said(`User response: ${JSON.stringify({ action: view.action, content: view.content })}`)
      const requestedSchema = {
        type: 'object' as const,
        properties: {
          username: { type: 'string' as const, description: "User's response" },
          email: { type: 'string' as const, description: "User's email address" },
        },
        required: ['username', 'email'],
      }
      return inputRequired({ inputRequests: { who: inputRequired.elicit({ message, requestedSchema }) } })
    },
  )
}

const defaults = {
  name: { type: 'string', default: 'John Doe' },
  age: { type: 'integer', default: 30 },
  score: { type: 'number', default: 95.5 },
  status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
  verified: { type: 'boolean', default: true },
} as const

const titled = [
  { const: 'value1', title: 'First' },
  { const: 'value2', title: 'Second' },
  { const: 'value3', title: 'Third' },
]
const options = ['option1', 'option2', 'option3']

/** SEP-1330: every way to offer a choice. */
const choices = {
  untitledSingle: { type: 'string' as const, enum: options },
  titledSingle: { type: 'string' as const, oneOf: titled },
  legacyEnum: {
    type: 'string' as const,
    enum: ['opt1', 'opt2', 'opt3'],
    enumNames: ['Option One', 'Option Two', 'Option Three'],
  },
  untitledMulti: { type: 'array' as const, items: { type: 'string' as const, enum: options } },
  titledMulti: { type: 'array' as const, items: { anyOf: titled } },
}

function addForms(server: McpServer): void {
  const forms = {
    test_elicitation_sep1034_defaults: {
      description: 'Asks with a default for every kind of field.',
      message: 'Please review these fields',
      properties: { ...defaults, status: { ...defaults.status, enum: [...defaults.status.enum] } },
    },
    test_elicitation_sep1330_enums: {
      description: 'Asks with every kind of choice.',
      message: 'Please choose',
      properties: choices,
    },
  }
  for (const [tool, { description, message, properties }] of Object.entries(forms)) {
    server.registerTool(tool, { description }, ({ mcpReq }) => {
      const view = inputResponse(mcpReq.inputResponses, 'form')
      if (view.kind === 'elicit')
        return said(
          `Elicitation completed: action=${view.action}, content=${JSON.stringify(view.content ?? {})}`,
        )
      const requestedSchema = { type: 'object' as const, properties }
      return inputRequired({ inputRequests: { form: inputRequired.elicit({ message, requestedSchema }) } })
    })
  }
}

function addKinds(server: McpServer): void {
  server.registerTool(
    'test_input_required_result_elicitation',
    { description: 'Asks the person for a name.' },
    ({ mcpReq }) => {
      const given = acceptedContent(mcpReq.inputResponses, 'user_name', name)
      if (given !== undefined) return said(`Hello, ${given.name}!`)
      return inputRequired({ inputRequests: { user_name: askName('What is your name?') } })
    },
  )
  server.registerTool(
    'test_input_required_result_sampling',
    { description: "Asks the client's model." },
    ({ mcpReq }) => {
      const view = inputResponse(mcpReq.inputResponses, 'capital_question')
      if (view.kind === 'sampling') return said(JSON.stringify(view.result.content))
      return inputRequired({
        inputRequests: { capital_question: sample('What is the capital of France?', 100) },
      })
    },
  )
  server.registerTool(
    'test_input_required_result_list_roots',
    { description: 'Asks which folders the client works in.' },
    ({ mcpReq }) => {
      const view = inputResponse(mcpReq.inputResponses, 'client_roots')
      if (view.kind === 'roots') return said(view.roots.map(({ uri }) => uri).join(' '))
      return inputRequired({ inputRequests: { client_roots: inputRequired.listRoots() } })
    },
  )
}

type Round = { readonly of: string; readonly step: number }

function addStates(server: McpServer, { codec }: House): void {
  const confirm = () =>
    inputRequired.elicit({
      message: 'Please confirm',
      requestedSchema: z.object({ ok: z.boolean() }),
    })
  const stateOf = ({ mcpReq }: ServerContext): Round | undefined => mcpReq.requestState<Round>()
  const confirmed = { request_state: 'state-ok', tampered_state: 'state-ok: it came back as it was' }
  for (const [suffix, answer] of Object.entries(confirmed)) {
    const of = `test_input_required_result_${suffix}`
    server.registerTool(of, { description: 'Asks, and wants its state back.' }, async (ctx) => {
      const given = inputResponse(ctx.mcpReq.inputResponses, 'confirm')
      if (given.kind === 'elicit' && stateOf(ctx)?.of === of) return said(answer)
      return inputRequired({
        inputRequests: { confirm: confirm() },
        requestState: await codec.mint({ of, step: 1 }, ctx),
      })
    })
  }
  const many = 'test_input_required_result_multiple_inputs'
  server.registerTool(many, { description: 'Asks for three things at once.' }, async (ctx) => {
    const views = ['user_name', 'greeting', 'client_roots'].map(
      (key) => inputResponse(ctx.mcpReq.inputResponses, key).kind,
    )
    if (views.join(' ') === 'elicit sampling roots' && stateOf(ctx)?.of === many)
      return said('All three came.')
    return inputRequired({
      inputRequests: {
        user_name: askName('What is your name?'),
        greeting: sample('Generate a greeting', 50),
        client_roots: inputRequired.listRoots(),
      },
      requestState: await codec.mint({ of: many, step: 1 }, ctx),
    })
  })
  addRounds(server, codec, stateOf)
}

function addRounds(
  server: McpServer,
  codec: House['codec'],
  stateOf: (ctx: ServerContext) => Round | undefined,
): void {
  const of = 'test_input_required_result_multi_round'
  const colour = z.object({ color: z.string() })
  server.registerTool(of, { description: 'Asks twice, one after the other.' }, async (ctx) => {
    const { inputResponses } = ctx.mcpReq
    const step = stateOf(ctx)?.step ?? 0
    if (step === 2 && acceptedContent(inputResponses, 'step2', colour) !== undefined)
      return said('Both came.')
    if (step === 1 && acceptedContent(inputResponses, 'step1', name) !== undefined) {
      const message = 'Step 2: What is your favorite color?'
      return inputRequired({
        inputRequests: { step2: inputRequired.elicit({ message, requestedSchema: colour }) },
        requestState: await codec.mint({ of, step: 2 }, ctx),
      })
    }
    return inputRequired({
      inputRequests: { step1: askName('Step 1: What is your name?') },
      requestState: await codec.mint({ of, step: 1 }, ctx),
    })
  })
}

function addCapabilities(server: McpServer): void {
  // On 2026-07-28 with each request, under a key that the SDK's types leave out.
  const declared = ({ mcpReq: { envelope = {} } }: ServerContext): object => {
    const sent: unknown = Reflect.get(envelope, CLIENT_CAPABILITIES_META_KEY)
    return typeof sent === 'object' && sent !== null ? sent : (server.server.getClientCapabilities() ?? {})
  }
  // The SDK refuses what the client has not declared: that is the refusal which the scenario wants to see.
  server.registerTool(
    'test_missing_capability',
    { description: "Needs the client's model." },
    ({ mcpReq }) => {
      if (inputResponse(mcpReq.inputResponses, 'answer').kind === 'sampling')
        return said('The client can sample.')
      return inputRequired({ inputRequests: { answer: sample('Are you there?', 10) } })
    },
  )
  server.registerTool(
    'test_input_required_result_capabilities',
    { description: 'Asks for what the client can give.' },
    (ctx) => {
      if (ctx.mcpReq.inputResponses !== undefined) return said('What was asked for came.')
      const known = declared(ctx)
      if (!('elicitation' in known || 'sampling' in known)) return refused('The client can give nothing.')
      return inputRequired({
        inputRequests: {
          ...('elicitation' in known ? { user_name: askName('What is your name?') } : {}),
          ...('sampling' in known ? { greeting: sample('Generate a greeting', 50) } : {}),
        },
      })
    },
  )
  server.registerTool(
    'test_streaming_elicitation',
    { description: 'Tells its progress, then asks.' },
    async ({ mcpReq }) => {
      if (inputResponse(mcpReq.inputResponses, 'user_name').kind !== 'missing') return said('Thank you.')
      const progressToken = mcpReq._meta?.progressToken
      if (progressToken !== undefined)
        await mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress: 1 } })
      return inputRequired({ inputRequests: { user_name: askName('What is your name?') } })
    },
  )
}

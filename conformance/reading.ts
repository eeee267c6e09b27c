import { ResourceTemplate, completable, type McpServer } from '@modelcontextprotocol/server'
import { acceptedContent, inputRequired } from '@modelcontextprotocol/server'
import { z } from 'zod'
import { image, png, text } from './content.ts'

/** Resources and prompts that the scenarios read. */
export function addReading(server: McpServer): void {
  addResources(server)
  addPrompts(server)
}

function addResources(server: McpServer): void {
  server.registerResource(
    'Static text',
    'test://static-text',
    { description: 'A text that never changes.', mimeType: 'text/plain' },
    (uri) => ({
      contents: [
        {
          uri: uri.href,
          mimeType: 'text/plain',
          text: 'This is the content of the static text resource.',
        },
      ],
    }),
  )
  server.registerResource(
    'Static binary',
    'test://static-binary',
    { description: 'An image that never changes.', mimeType: 'image/png' },
    (uri) => ({ contents: [{ uri: uri.href, mimeType: 'image/png', blob: png }] }),
  )
  server.registerResource(
    'Watched',
    'test://watched-resource',
    { description: 'A text that can be watched.', mimeType: 'text/plain' },
    (uri) => ({ contents: [{ uri: uri.href, mimeType: 'text/plain', text: 'Watch this.' }] }),
  )
  server.registerResource(
    'By number',
    new ResourceTemplate('test://template/{id}/data', { list: undefined }),
    { description: 'One resource for each number.', mimeType: 'application/json' },
    (uri, { id }) => ({
      contents: [
        {
          uri: uri.href,
          mimeType: 'application/json',
          text: JSON.stringify({ id, templateTest: true, data: `Data for ID: ${String(id)}` }),
        },
      ],
    }),
  )
}

const words = ['paris', 'park', 'party', 'test', 'testing']
const starting = (value: string) => words.filter((word) => word.startsWith(value))

function addPrompts(server: McpServer): void {
  server.registerPrompt('test_simple_prompt', { description: 'A prompt without arguments.' }, () => ({
    messages: [{ role: 'user', content: text('This is a simple prompt for testing.') }],
  }))
  server.registerPrompt(
    'test_prompt_with_arguments',
    {
      description: 'A prompt with two arguments.',
      argsSchema: z.object({
        arg1: completable(z.string().describe('First test argument'), starting),
        arg2: z.string().describe('Second test argument'),
      }),
    },
    ({ arg1, arg2 }) => ({
      messages: [{ role: 'user', content: text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`) }],
    }),
  )
  server.registerPrompt(
    'test_prompt_with_embedded_resource',
    {
      description: 'A prompt with a resource in it.',
      argsSchema: z.object({ resourceUri: z.string().describe('URI of the resource to embed') }),
    },
    ({ resourceUri }) => ({
      messages: [
        {
          role: 'user',
          content: {
            type: 'resource',
            resource: {
              uri: resourceUri,
              mimeType: 'text/plain',
              text: 'Embedded resource content for testing.',
            },
          },
        },
        { role: 'user', content: text('Please process the embedded resource above.') },
      ],
    }),
  )
  server.registerPrompt('test_prompt_with_image', { description: 'A prompt with an image in it.' }, () => ({
    messages: [
      { role: 'user', content: image },
      { role: 'user', content: text('Please analyze the image above.') },
    ],
  }))
  const context = z.object({ context: z.string() })
  server.registerPrompt(
    'test_input_required_result_prompt',
    { description: 'A prompt that asks before it answers.' },
    (ctx) => {
      const given = acceptedContent(ctx.mcpReq.inputResponses, 'user_context', context)
      if (given !== undefined)
        return { messages: [{ role: 'user', content: text(`In this context: ${given.context}`) }] }
      return inputRequired({
        inputRequests: {
          user_context: inputRequired.elicit({
            message: 'What context should the prompt use?',
            requestedSchema: context,
          }),
        },
      })
    },
  )
}

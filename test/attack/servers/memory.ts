import { McpServer } from '@modelcontextprotocol/server'
import { serveStdio } from '@modelcontextprotocol/server/stdio'
import { z } from 'zod'

/** A server that mixes up its tenants: what one caller left in its process, the next one finds. */
const left: { word: string } = { word: 'nothing' }

serveStdio(() => {
  const server = new McpServer({ name: 'memory', version: '1.0.0' })
  server.registerTool(
    'put_word',
    { description: 'Puts a word.', inputSchema: z.object({ word: z.string() }) },
    ({ word }) => {
      left.word = word
      return { content: [{ type: 'text', text: 'put' }] }
    },
  )
  server.registerTool('get_word', { description: 'Gets the word.', inputSchema: z.object({}) }, () => ({
    content: [{ type: 'text', text: left.word }],
  }))
  server.registerTool(
    'get_environment',
    { description: 'Gets the environment.', inputSchema: z.object({}) },
    () => ({ content: [{ type: 'text', text: JSON.stringify(process.env) }] }),
  )
  return server
})

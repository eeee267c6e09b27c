import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'

const maxRoots = 100
const maxUri = 4_096

/**
 * What a client answered to what a server asked for, with exactly the members that MCP has for it: nothing else of the
 * agent's passes. Null when it is no such answer.
 */
export function readResponse(method: Json | undefined, response: Json | undefined): JsonObject | null {
  if (!isJsonObject(response)) return null
  switch (method) {
    case 'elicitation/create':
      return readElicited(response)
    case 'sampling/createMessage':
      return readSampled(response)
    case 'roots/list':
      return readRoots(response)
    default:
      return null
  }
}

/** The same of an answer that nobody asked for yet: by its shape, as servers tell them apart. */
export const readAnyResponse = (response: Json): JsonObject | null =>
  readResponse('elicitation/create', response) ??
  readResponse('roots/list', response) ??
  readResponse('sampling/createMessage', response)

function readElicited({ action, content }: JsonObject): JsonObject | null {
  if (action === 'decline' || action === 'cancel') return { action }
  if (action !== 'accept') return null
  if (content === undefined || content === null) return { action }
  if (!isJsonObject(content)) return null
  const flat = Object.values(content).every(
    (value) =>
      ['string', 'number', 'boolean'].includes(typeof value) ||
      (Array.isArray(value) && value.every((item: Json) => typeof item === 'string')),
  )
  return flat ? { action, content } : null
}

function readSampled({ role, content, model, stopReason }: JsonObject): JsonObject | null {
  if ((role !== 'assistant' && role !== 'user') || typeof model !== 'string') return null
  const blocks = Array.isArray(content) ? content : [content]
  if (!blocks.every((block) => isJsonObject(block) && typeof block['type'] === 'string')) return null
  return {
    role,
    content: content ?? null,
    model,
    ...(typeof stopReason === 'string' ? { stopReason } : {}),
  }
}

function readRoots({ roots }: JsonObject): JsonObject | null {
  if (!Array.isArray(roots) || roots.length > maxRoots) return null
  const read = roots.map((root) => {
    if (!isJsonObject(root)) return null
    const { uri, name } = root
    if (typeof uri !== 'string' || uri.length > maxUri) return null
    return typeof name === 'string' ? { uri, name } : { uri }
  })
  return read.every((root) => root !== null) ? { roots: read } : null
}

import { brief } from './bounds.ts'
import { headerProblem } from './header.ts'
import { isJsonObject } from '../lib/json.ts'
import type { Definition } from './tool.ts'
import type { Json, JsonObject } from '../lib/json.ts'

/** Which fields of a listing become part of a definition. Everything else a server sends is dropped and never shown. */

type Failed = { readonly problem: string }

/** MCP 2026-07-28, tools: names are 1 to 128 of these. Held for prompts too: they become commands in clients. */
const name = /^[A-Za-z0-9_.-]{1,128}$/

/** Characters; descriptions are what a model reads, so they are bounded far below the unit as a whole. */
const textLimits = { title: 512, description: 32 * 1024, mimeType: 256, uri: 2048, src: 64 * 1024 } as const

export function toolFields(item: JsonObject): Definition | Failed {
  const common = described(item)
  if ('problem' in common) return common
  const { inputSchema, outputSchema, execution } = item
  if (!isJsonObject(inputSchema) || inputSchema.type !== 'object') {
    return { problem: `tool \`${common.name}\`: expected \`inputSchema\` with \`"type": "object"\`` }
  }
  if (outputSchema !== undefined && !isJsonObject(outputSchema)) {
    return { problem: `tool \`${common.name}\`: expected \`outputSchema\` to be an object` }
  }
  const header = headerProblem(inputSchema)
  if (header !== null) return { problem: `tool \`${common.name}\`: ${header}` }
  const annotations = pick(item.annotations, hints)
  const support = isJsonObject(execution) ? pick(execution, { taskSupport: isText }) : null
  return {
    kind: 'tool',
    ...common,
    inputSchema,
    ...(outputSchema === undefined ? {} : { outputSchema }),
    ...(annotations === null ? {} : { annotations }),
    ...(support === null ? {} : { execution: support }),
  }
}

export function promptFields(item: JsonObject): Definition | Failed {
  const common = described(item)
  if ('problem' in common) return common
  const listed = item.arguments ?? []
  if (!Array.isArray(listed) || listed.length > 128)
    return { problem: `prompt \`${common.name}\`: expected at most 128 arguments` }
  const args: JsonObject[] = []
  for (const argument of listed) {
    const fields = pick(argument, { name: isText, title: isText, description: isText, required: isFlag })
    if (fields === null || typeof fields.name !== 'string')
      return { problem: `prompt \`${common.name}\`: expected arguments with names` }
    if (args.some((other) => other.name === fields.name))
      return { problem: `prompt \`${common.name}\`: an argument is listed twice` }
    args.push(fields)
  }
  return { kind: 'prompt', ...common, arguments: args }
}

/** Names of resources are for people and may hold anything; what identifies a template is its `uriTemplate`. */
export function templateFields(item: JsonObject): Definition | Failed {
  const { uriTemplate } = item
  if (typeof uriTemplate !== 'string') return { problem: 'expected a template with `uriTemplate`' }
  const common = described(item, { anyName: true })
  if ('problem' in common) return common
  const annotations = pick(item.annotations, contentHints)
  return {
    kind: 'template',
    ...common,
    uriTemplate,
    ...(annotations === null ? {} : { annotations }),
    ...(isShort(item.mimeType, textLimits.mimeType) ? { mimeType: item.mimeType } : {}),
  }
}

export function resourceFields(
  item: JsonObject,
): { readonly uri: string; readonly view: JsonObject } | Failed {
  const { uri } = item
  if (!isShort(uri, textLimits.uri)) return { problem: 'expected a resource with `uri`' }
  const common = described(item, { anyName: true })
  if ('problem' in common) return common
  const annotations = pick(item.annotations, contentHints)
  const view: JsonObject = {
    uri,
    name: common.name,
    ...(common.title === undefined ? {} : { title: common.title }),
    ...(common.description === undefined ? {} : { description: common.description }),
    ...(isShort(item.mimeType, textLimits.mimeType) ? { mimeType: item.mimeType } : {}),
    ...(isNumber(item.size) ? { size: item.size } : {}),
    ...(annotations === null ? {} : { annotations }),
  }
  return { uri, view }
}

type Described = {
  readonly name: string
  readonly title?: string
  readonly description?: string
  readonly icons?: readonly Json[]
}

function described(
  item: JsonObject,
  names: { readonly anyName: boolean } = { anyName: false },
): Described | Failed {
  const { title, description, icons } = item
  if (typeof item.name !== 'string' || item.name === '') return { problem: 'expected a `name`' }
  if (names.anyName ? item.name.length > textLimits.title : !name.test(item.name)) {
    return {
      problem: `name \`${brief(item.name)}\`: expected 1 to 128 of A-Z, a-z, 0-9, \`_\`, \`-\`, \`.\``,
    }
  }
  if (title !== undefined && !isShort(title, textLimits.title))
    return {
      problem: `\`${brief(item.name)}\`: expected \`title\` of at most ${textLimits.title} characters`,
    }
  if (description !== undefined && !isShort(description, textLimits.description)) {
    return {
      problem: `\`${brief(item.name)}\`: expected \`description\` of at most ${textLimits.description} characters`,
    }
  }
  const images = Array.isArray(icons) ? icons.slice(0, 8).flatMap(icon) : []
  return {
    name: item.name,
    ...(title === undefined ? {} : { title }),
    ...(description === undefined ? {} : { description }),
    ...(images.length === 0 ? {} : { icons: images }),
  }
}

/** Icons are fetched by clients: only https and inline images, or a client would be made to open anything else. */
function icon(value: Json): JsonObject[] {
  const fields = pick(value, { src: isText, mimeType: isText, sizes: isTexts, theme: isText })
  const src = fields?.src
  const fits = isShort(src, textLimits.src) && (src.startsWith('https://') || src.startsWith('data:image/'))
  return fields !== null && fits ? [fields] : []
}

type Check = (value: Json) => boolean
const isText: Check = (value) => typeof value === 'string'
const isFlag: Check = (value) => typeof value === 'boolean'
const isTexts: Check = (value) => Array.isArray(value) && value.length <= 16 && value.every(isText)
const isNumber = (value: Json | undefined): value is number => typeof value === 'number'
const isShort = (value: Json | undefined, max: number): value is string =>
  typeof value === 'string' && value.length <= max

const hints = {
  title: isText,
  readOnlyHint: isFlag,
  destructiveHint: isFlag,
  idempotentHint: isFlag,
  openWorldHint: isFlag,
}
const contentHints = {
  audience: isTexts,
  priority: (value: Json) => typeof value === 'number',
  lastModified: isText,
}

/** The listed members whose values fit; null when there are none. */
function pick(value: Json | undefined, checks: { readonly [name: string]: Check }): JsonObject | null {
  if (!isJsonObject(value)) return null
  const kept: { [name: string]: Json } = {}
  for (const [member, check] of Object.entries(checks)) {
    const found = Object.hasOwn(value, member) ? value[member] : undefined
    if (found !== undefined && check(found)) kept[member] = found
  }
  return Object.keys(kept).length === 0 ? null : kept
}

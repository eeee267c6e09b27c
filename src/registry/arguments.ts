import { brief, exceeds } from './bounds.ts'
import { isJsonObject } from '../lib/json.ts'
import { fallsUnder } from './view.ts'
import { parseTemplate, parseUri } from './uri.ts'
import type { Fits, Schemas } from './schema.ts'
import type { Json, JsonObject } from '../lib/json.ts'
import type { Operation } from '../server/answer.ts'
import type { Tool } from './tool.ts'

/**
 * Checks what is sent along with an operation, always against the pinned definition:
 * - `call`: the tool's arguments, against its input schema
 * - `get`: a prompt's arguments, texts by the names it lists
 * - `read`, `subscribe`: `{ uri }`, which must fall under this very unit: it is what will be sent (I8)
 * - `complete`: `{ argument: { name, value }, context?: { arguments }, ref? }` (MCP, completion/complete)
 */
export function checkArguments(schemas: Schemas, tool: Tool, operation: Operation, args: JsonObject): Fits {
  const { pinned } = tool
  if (pinned === null) return fail('the tool has not been reviewed')
  switch (operation) {
    case 'call':
      return pinned.inputSchema === undefined
        ? fail('this is not a tool that can be called')
        : schemas.check(pinned.inputSchema, args)
    case 'get':
      return checkPrompt(pinned.arguments ?? [], args)
    case 'read':
    case 'subscribe':
      return checkRead(tool, args)
    case 'complete':
      return checkCompletion(tool, pinned.arguments ?? [], args)
  }
}

const fail = (...problems: readonly string[]): Fits => ({ ok: false, problems: problems.slice(0, 10) })
const result = (problems: readonly string[]): Fits =>
  problems.length === 0 ? { ok: true } : fail(...problems)

function checkPrompt(listed: readonly Json[], args: JsonObject): Fits {
  const large = exceeds(args, { depth: 2, nodes: 1000, chars: 4 * 1024 * 1024 })
  if (large !== null) return fail(`the arguments have ${large}`)
  const names = listed.filter(isJsonObject)
  const problems: string[] = []
  for (const { name, required } of names) {
    if (required === true && typeof name === 'string' && !Object.hasOwn(args, name))
      problems.push(`the arguments: expected \`${brief(name)}\`, which is missing`)
  }
  for (const [name, value] of Object.entries(args)) {
    if (!names.some((one) => one.name === name))
      problems.push(`\`/${brief(name)}\`: the prompt names no such argument; leave it out`)
    else if (typeof value !== 'string') problems.push(`\`/${brief(name)}\`: expected text`)
  }
  return result(problems)
}

function checkRead(tool: Tool, args: JsonObject): Fits {
  const { uri, ...others } = args
  if (typeof uri !== 'string') return fail('`/uri`: expected a URI')
  const parsed = parseUri(uri)
  if ('problem' in parsed) return fail(`\`/uri\`: ${parsed.problem}`)
  if (!fallsUnder(tool, parsed)) return fail('`/uri`: expected a URI of the resource that was asked for')
  return result(
    Object.keys(others).map((name) => `\`/${brief(name)}\`: reading takes no such argument; leave it out`),
  )
}

function checkCompletion(tool: Tool, listed: readonly Json[], args: JsonObject): Fits {
  const { argument, context, ref: _ref, ...others } = args
  const template = tool.kind === 'template' ? parseTemplate(tool.name) : null
  const variables = template !== null && 'variables' in template ? template.variables : []
  const known = [...listed.filter(isJsonObject).map((one) => one.name), ...variables]
  const problems = Object.keys(others).map(
    (name) => `\`/${brief(name)}\`: completing takes no such argument; leave it out`,
  )
  if (!isJsonObject(argument) || typeof argument.value !== 'string' || Object.keys(argument).length !== 2)
    problems.push('`/argument`: expected `{ name, value }`')
  else if (!known.includes(argument.name ?? null))
    problems.push('`/argument/name`: expected the name of an argument of this prompt or template')
  if (context !== undefined) problems.push(...contextProblems(context, known))
  return result(problems)
}

function contextProblems(context: Json, known: readonly (Json | undefined)[]): readonly string[] {
  const given = isJsonObject(context) ? (context.arguments ?? {}) : null
  if (
    !isJsonObject(given) ||
    !isJsonObject(context) ||
    Object.keys(context).some((name) => name !== 'arguments')
  )
    return ['`/context`: expected `{ arguments }`']
  return Object.entries(given).flatMap(([name, value]) =>
    known.includes(name) && typeof value === 'string'
      ? []
      : [`\`/context/arguments/${brief(name)}\`: expected text for an argument of this prompt or template`],
  )
}

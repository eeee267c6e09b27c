import { isJsonObject } from '../lib/json.ts'

/**
 * One node of Cedar's JSON policy form, told apart once, so that each analysis is an exhaustive switch. What this
 * reader does not know becomes `unknown`, and every analysis takes the careful side of that.
 */
export type Node =
  | { readonly op: 'var'; readonly name: string }
  | { readonly op: 'value'; readonly value: unknown }
  | { readonly op: 'get'; readonly left: unknown; readonly name: string }
  | { readonly op: 'has'; readonly left: unknown; readonly names: readonly string[] }
  | { readonly op: 'binary'; readonly name: string; readonly left: unknown; readonly right: unknown }
  | { readonly op: 'unary'; readonly name: string; readonly arg: unknown }
  | { readonly op: 'if'; readonly test: unknown; readonly yes: unknown; readonly no: unknown }
  | { readonly op: 'call'; readonly name: string; readonly args: readonly unknown[] }
  | { readonly op: 'unknown'; readonly parts: readonly unknown[] }

/** Reads one node. Parts stay unread until an analysis asks for them. */
export function node(expression: unknown): Node {
  if (!isJsonObject(expression)) return { op: 'unknown', parts: [] }
  const [name, ...others] = Object.keys(expression)
  if (name === undefined || others.length > 0) return { op: 'unknown', parts: Object.values(expression) }
  const body: unknown = expression[name]
  if (name === 'Var') return { op: 'var', name: String(body) }
  if (name === 'Value') return { op: 'value', value: body }
  if (name === 'Set' && Array.isArray(body)) return { op: 'call', name: 'Set', args: body }
  if (Array.isArray(body)) return { op: 'call', name, args: body }
  if (!isJsonObject(body)) return { op: 'unknown', parts: [] }
  return fromBody(name, body)
}

function fromBody(name: string, body: { readonly [part: string]: unknown }): Node {
  switch (name) {
    case '.':
      return { op: 'get', left: body['left'], name: String(body['attr']) }
    case 'has':
      return { op: 'has', left: body['left'], names: namesOf(body['attr']) }
    case 'if-then-else':
      return { op: 'if', test: body['if'], yes: body['then'], no: body['else'] }
    case 'like':
      return { op: 'unary', name, arg: body['left'] }
    case 'is':
      return { op: 'call', name, args: 'in' in body ? [body['left'], body['in']] : [body['left']] }
    case 'Record':
      return { op: 'call', name, args: Object.values(body) }
    default:
      if ('left' in body && 'right' in body)
        return { op: 'binary', name, left: body['left'], right: body['right'] }
      if ('arg' in body) return { op: 'unary', name, arg: body['arg'] }
      return { op: 'unknown', parts: Object.values(body) }
  }
}

const namesOf = (attr: unknown): readonly string[] =>
  Array.isArray(attr) ? attr.map(String) : [String(attr)]

/** The expressions directly below a node. */
export function parts(of: Node): readonly unknown[] {
  switch (of.op) {
    case 'var':
    case 'value':
      return []
    case 'get':
    case 'has':
      return [of.left]
    case 'binary':
      return [of.left, of.right]
    case 'unary':
      return [of.arg]
    case 'if':
      return [of.test, of.yes, of.no]
    case 'call':
      return of.args
    case 'unknown':
      return of.parts
  }
}

/** `context.task.id` as `{ root: 'context', path: ['task', 'id'] }`; null when it does not start at a variable. */
export function chain(
  expression: unknown,
): { readonly root: string; readonly path: readonly string[] } | null {
  const path: string[] = []
  let at = node(expression)
  while (at.op === 'get') {
    path.unshift(at.name)
    at = node(at.left)
  }
  return at.op === 'var' ? { root: at.name, path } : null
}

/** Depth of an expression: what recursion over it, ours and the engine's, will need. */
export function depth(expression: unknown): number {
  let deepest = 0
  const open: { readonly at: unknown; readonly level: number }[] = [{ at: expression, level: 1 }]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    deepest = Math.max(deepest, next.level)
    for (const part of parts(node(next.at))) open.push({ at: part, level: next.level + 1 })
  }
  return deepest
}

/** True when a node of an expression, at any depth, is such. */
export function anyInside(expression: unknown, such: (at: Node) => boolean): boolean {
  const at = node(expression)
  return such(at) || parts(at).some((part) => anyInside(part, such))
}

import type { ToolId } from '../registry/tool.ts'

/** Patterns over tool ids: exact, `server/*` (everything of one server) or `*`. Nothing else is a pattern. */
export const isPattern = (text: string): boolean =>
  text === '*' || (text.length <= 512 && /^[a-z0-9][a-z0-9._-]{0,62}\/[^\s/]\S*$/.test(text))

/** Whether one of the patterns covers the tool. Pure; no pattern covers an id without a server. */
export function covers(patterns: readonly string[], tool: ToolId): boolean {
  const slash = tool.indexOf('/')
  if (slash <= 0) return false
  const all = `${tool.slice(0, slash)}/*`
  return patterns.some((pattern) => pattern === '*' || pattern === all || pattern === tool)
}

/** `covers` for many tools: the patterns are looked through once, and what a whole server is found to be holds for its tools in a row. */
export function covering(patterns: readonly string[]): (tool: ToolId) => boolean {
  const named = new Set(patterns)
  const every = named.has('*')
  let server = ''
  let isWhole = false
  return (tool) => {
    if (server === '' || !tool.startsWith(server)) {
      const slash = tool.indexOf('/')
      if (slash <= 0) return false
      server = tool.slice(0, slash + 1)
      isWhole = every || named.has(`${server}*`)
    }
    return isWhole || named.has(tool)
  }
}

/** Whether everything that `inner` covers, `outer` covers too. Pure, reflexive and transitive. */
export const within = (inner: readonly string[], outer: readonly string[]): boolean =>
  inner.every((pattern) => (pattern === '*' ? outer.includes('*') : covers(outer, pattern)))

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

/** Whether everything that `inner` covers, `outer` covers too. Pure, reflexive and transitive. */
export const within = (inner: readonly string[], outer: readonly string[]): boolean =>
  inner.every((pattern) => (pattern === '*' ? outer.includes('*') : covers(outer, pattern)))

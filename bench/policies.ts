/**
 * A hundred policies for a server whose tools are `tool_0` to `tool_99`: four that look at every call and 96 that look
 * at one tool each. A call is put to the four and to its own, which reads an argument and the labels.
 */
export function hundredPolicies(server: string): string {
  const general = [
    '@id("reads") permit (principal, action in Action::"effect:read", resource) when { resource.environment == context.task.environment };',
    '@id("writes") permit (principal, action in Action::"effect:write", resource) when { context has approval && resource.environment == context.task.environment };',
    '@id("sends") permit (principal, action in Action::"effect:egress", resource) when { context has approval };',
    '@id("secrets") forbid (principal, action in Action::"effect:egress", resource) when { context.labels.confidentiality > 2 };',
  ]
  const own = Array.from(
    { length: 96 },
    (_, index) =>
      `@id("tool_${index}") forbid (principal, action == Action::"${server}/tool_${index}", resource) when { context.input.path like "/etc/*" || context.labels.confidentiality > 2 };`,
  )
  return [...general, ...own].join('\n')
}

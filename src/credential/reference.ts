/**
 * How a configuration names a stored secret: `secret:NAME` for a whole value, or `${secret:NAME}` inside a text.
 * Pure. Nothing but these two forms is looked at, so that a value cannot grow references when it is filled in.
 */
const whole = /^secret:([a-z0-9][a-z0-9._-]{0,62})$/
const inside = /\$\{secret:([a-z0-9][a-z0-9._-]{0,62})\}/g

/** Names of the secrets that a configured value wants; empty when it is meant literally. */
export function secretsNamedIn(text: string): readonly string[] {
  const only = whole.exec(text)?.[1]
  if (only !== undefined) return [only]
  return [...new Set([...text.matchAll(inside)].map((match) => match[1] ?? ''))]
}

/** Puts the values in, in one pass: a value that itself looks like a reference stays as it is. */
export function fill(text: string, value: (name: string) => string): string {
  const only = whole.exec(text)?.[1]
  return only === undefined ? text.replace(inside, (_all, name: string) => value(name)) : value(only)
}

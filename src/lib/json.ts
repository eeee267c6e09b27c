/** The JSON values that cross the broker: I-JSON (RFC 7493), parsed once by `ijson.ts`, serialised once by `canonical`. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject
export type JsonObject = { readonly [name: string]: Json }

export const isJsonObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The value that a path of member names leads to, own members only; undefined when there is none. */
export function valueAt(root: Json, path: readonly string[]): Json | undefined {
  let node: Json | undefined = root
  for (const name of path) {
    if (!isJsonObject(node) || !Object.hasOwn(node, name)) return undefined
    node = node[name]
  }
  return node
}

/** The JSON values that cross the broker: I-JSON (RFC 7493), parsed once by `ijson.ts`, serialised once by `canonical`. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject
export type JsonObject = { readonly [name: string]: Json }

export const isJsonObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

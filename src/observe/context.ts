import { isJsonObject, type Json } from '../lib/json.ts'

/** Where a span stands, on the wire and off it (W3C Trace Context): 32 and 16 lower-case hex digits. */
export type TraceContext = { readonly traceId: string; readonly spanId: string; readonly sampled: boolean }

const form = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[\x21-\x7e]{1,256})?$/

/**
 * A `traceparent` that somebody sent, or null when it is not one to the letter (W3C Trace Context section 3.2.2). It
 * says which trace its sender wants to be seen in, and nothing else is taken from it: no identity, no permission, and
 * not whether to sample, or an agent could switch its own traces off. `tracestate` and `baggage` are free text of the
 * sender's and are not read at all.
 */
export function readTraceparent(value: unknown): TraceContext | null {
  if (typeof value !== 'string' || value.length > 320) return null
  const [, version = '', traceId = '', spanId = '', flags = '', more] = form.exec(value) ?? []
  if (version === '' || version === 'ff' || /^0+$/.test(traceId) || /^0+$/.test(spanId)) return null
  // Version 00 ends here; later ones may go on.
  if (version === '00' && more !== undefined) return null
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 }
}

/** Our own, for `params._meta` and the HTTP header. */
export const writeTraceparent = ({ traceId, spanId, sampled }: TraceContext): string =>
  `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`

/** From `params._meta` of an MCP message (SEP-414: the key has no prefix). */
export const fromMeta = (meta: Json | undefined | null): TraceContext | null =>
  isJsonObject(meta) ? readTraceparent(meta['traceparent']) : null

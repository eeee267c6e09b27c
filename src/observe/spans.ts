import type { Attributes } from './attributes.ts'
import type { TraceContext } from './context.ts'

/** A span that is open. Ended once; what comes after is ignored. */
export type Span = {
  /** Made by this broker. */
  readonly context: TraceContext
  set(attributes: Attributes): void
  /** A span below this one. */
  child(name: string, options?: SpanOptions): Span
  /** When it turns out later what it is about. Registered names only. */
  rename(name: string): void
  /** `error`: a code, when it did not end well. */
  end(error?: string): void
}

export type SpanKind = 'server' | 'client' | 'internal'
export type SpanOptions = { readonly kind?: SpanKind; readonly attributes?: Attributes }

/** Makes spans. Whether one is recorded is decided where its trace begins in this broker, by our own coin. */
export type Tracer = {
  root(
    name: string,
    options: SpanOptions & {
      /** What an agent sent: it becomes the parent only where the operator has said so. */
      readonly parent: TraceContext | null
      readonly links: readonly TraceContext[]
    },
  ): Span
}

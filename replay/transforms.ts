import type { Signature } from './suite.ts'
import type { Trace } from './record.ts'

export type Signatures = { readonly [suite: string]: { readonly [injection: string]: Signature } }
export type TransformName = string
export type Transform = {
  readonly name: TransformName
  readonly change: (trace: Trace, signatures: Signatures) => Trace | null
}
export const transforms: readonly Transform[] = []

/**
 * A product carries two marks: a type brand and a run-time mark that the next stage demands. No code outside
 * `src/call/` may import this module (the architecture test keeps that), so that nobody else can make a product and
 * a forged, copied or spread one is refused.
 */
declare const brand: unique symbol

export type StageName =
  | 'authenticated'
  | 'bound'
  | 'resolved'
  | 'decided'
  | 'approved'
  | 'intended'
  | 'equipped'
  | 'answered'
  | 'labelled'
  | 'settled'

export type Sealed<Name extends StageName, Value> = Readonly<Value> & { readonly [brand]: Name }

const marks = new WeakMap<object, StageName>()

/** Freezes the product and marks it as the work of one stage. */
export function seal<Name extends StageName, const Value extends object>(
  name: Name,
  value: Value,
): Sealed<Name, Value> {
  const product = Object.freeze(value)
  marks.set(product, name)
  // The brand has no run-time form; the WeakMap is the mark.
  return product as Sealed<Name, Value>
}

/** Throws when the product is not, itself, what the named stage returned. */
export function demand<Name extends StageName>(product: Sealed<Name, object>, name: Name): void {
  if (marks.get(product) !== name)
    throw new TypeError(`expected a product of the stage that makes \`${name}\`; the path was left`)
}

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

/** A class that extends this one puts its private fields on the object that it is given. */
// oxlint-disable-next-line typescript/no-extraneous-class -- only a base class's constructor can do this
class Onto {
  constructor(product: object) {
    return product
  }
}

/**
 * The run-time mark: a private field on the product itself. The language keeps it from everyone outside this class: no
 * other code can read, write, copy or spread it, and reflection does not show it. A `WeakMap` would keep the same
 * promise and makes the collector look through it for ten products a call.
 */
class Mark extends Onto {
  readonly #stage: StageName

  private constructor(product: object, stage: StageName) {
    super(product)
    this.#stage = stage
  }

  static put(product: object, stage: StageName): void {
    void new Mark(product, stage)
  }

  static of(product: object): StageName | null {
    return #stage in product ? product.#stage : null
  }
}

/** Marks the product as the work of one stage and freezes it. */
export function seal<Name extends StageName, const Value extends object>(
  name: Name,
  value: Value,
): Sealed<Name, Value> {
  Mark.put(value, name)
  // The brand has no run-time form; the mark is it.
  return Object.freeze(value) as Sealed<Name, Value>
}

/** Throws when the product is not, itself, what the named stage returned. */
export function demand<Name extends StageName>(product: Sealed<Name, object>, name: Name): void {
  if (Mark.of(product) !== name)
    throw new TypeError(`expected a product of the stage that makes \`${name}\`; the path was left`)
}

/**
 * A change contradicts what the store holds: an id that is taken, a parent that has closed, an end that would move
 * out. Callers check first; this is the second check, inside the transaction, for what moved in between. Nothing was
 * changed and nothing was recorded.
 */
export class StoreConflict extends Error {
  override readonly name: string = 'StoreConflict'
}

/** What the change was made from is no longer what the store holds: read again and make the change anew. */
export class StoreMoved extends StoreConflict {}

export type RefusedOpening = 'locked' | 'newer' | 'older' | 'changed' | 'foreign' | 'path' | 'server'

/** The store cannot be opened as it is, and trying again will not help: a person has to do what the message says. */
export class StoreRefused extends Error {
  override readonly name = 'StoreRefused'
  readonly problem: RefusedOpening

  constructor(problem: RefusedOpening, message: string) {
    super(message)
    this.problem = problem
  }
}

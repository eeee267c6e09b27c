/** What schemas said about one place of a value: which members they named, and the same for each place below. */
export type Seen = {
  /** Members that some schema evaluated. */
  readonly properties: Set<string>
  readonly items: Set<number>
  /** Whether any schema here names members at all; without that, the value is free-form. */
  names: boolean
  readonly children: Map<string, Seen>
}

export const newSeen = (): Seen => ({
  properties: new Set(),
  items: new Set(),
  names: false,
  children: new Map(),
})

/** What there is to see in a value without members. Shared, so never merged into. */
export const nothingSeen: Seen = newSeen()

/** Adds what a schema saw one place below. */
export function adopt(into: Seen, name: string, child: Seen): void {
  if (child === nothingSeen) return
  const known = into.children.get(name)
  if (known === undefined) into.children.set(name, child)
  else mergeSeen(known, child)
}

/** Adds what another schema saw at the same place. */
export function mergeSeen(into: Seen, from: Seen): void {
  if (from === nothingSeen) return
  for (const name of from.properties) into.properties.add(name)
  for (const index of from.items) into.items.add(index)
  into.names ||= from.names
  for (const [name, child] of from.children) adopt(into, name, child)
}

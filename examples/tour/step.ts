import type { JsonObject } from '../../src/lib/json.ts'
import type { Scene } from './scene.ts'

/** An entry as the broker's log has it, with its place there. */
export type Logged = { readonly index: number; readonly entry: JsonObject }

/** One thing that somebody did, what came back, and every entry that the log took meanwhile. */
export type Beat = {
  readonly who: 'agent' | 'person' | 'server' | 'stranger' | 'auditor'
  readonly did: string
  /** As it came: text from tools, refusals as a model sees them, the words of a command. */
  readonly came: readonly string[]
  readonly entries: readonly Logged[]
}

/** A part of the day. It throws `Broken` when anything is not as it says; nothing that it tells is made up. */
export type Step = {
  readonly name: string
  readonly title: string
  play(scene: Scene, tell: (beat: Beat) => void): Promise<void>
}

/** An expectation that did not hold: the tour has found something broken. */
export class Broken extends Error {
  override readonly name = 'Broken'
}

/** `expected` says in words what should be; `found` is shown as it is. */
export function expect(holds: boolean, expected: string, found?: unknown): asserts holds {
  if (holds) return
  const shown = found === undefined ? '' : `, found ${(JSON.stringify(found) ?? String(found)).slice(0, 600)}`
  throw new Broken(`expected ${expected}${shown}`)
}

/** Like `kind:how`, oldest first: what a beat left in the log, and nothing else beside it. */
export function expectEntries(entries: readonly Logged[], kinds: readonly string[]): void {
  const found = entries.map(kindOf)
  expect(found.join() === kinds.join(), `exactly the entries ${kinds.join(', ')}`, found)
}

/** `intent`, `outcome:ok`, `refused:denied`, `act:task-opened`. */
export function kindOf({ entry }: Logged): string {
  const how = entry['outcome'] ?? entry['code'] ?? entry['act']
  return typeof how === 'string' ? `${text(entry, 'kind')}:${how}` : text(entry, 'kind')
}

/** The first entry of a kind. */
export function entryOf(entries: readonly Logged[], kind: string): Logged {
  const found = entries.find((one) => kindOf(one) === kind)
  expect(found !== undefined, `an entry \`${kind}\``, entries.map(kindOf))
  return found
}

/** A member below others; undefined when one is missing. */
export const at = (value: unknown, ...names: readonly string[]): unknown => names.reduce(member, value)

const member = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? Reflect.get(value, name)
    : undefined

/** The same as text; empty when it is none. */
export function text(value: unknown, ...names: readonly string[]): string {
  const found = at(value, ...names)
  return typeof found === 'string' ? found : ''
}

export function list(value: unknown, ...names: readonly string[]): readonly unknown[] {
  const found = at(value, ...names)
  return Array.isArray(found) ? found : []
}

import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'

/** What kind of thing a target-bearing argument names. */
export const bearingKinds = ['recipient', 'account', 'url', 'path', 'id', 'amount', 'command'] as const
export type BearingKind = (typeof bearingKinds)[number]

/** An argument that decides where a call acts: a JSON pointer (RFC 6901) in which `*` stands for every item or member. */
export type Bearing = { readonly at: string; readonly kind: BearingKind }

/** One value of such an argument. `at` has the item's own place. */
export type Borne = { readonly at: string; readonly kind: BearingKind; readonly value: string }

export type Bears =
  { readonly ok: true; readonly values: readonly Borne[] } | { readonly ok: false; readonly problem: string }

/** A call that acts on more than this is split by whoever makes it. */
const mostValues = 256
const mostCharacters = 4096

/**
 * Every target-bearing value of a call, in the order of its bearings. A value that cannot be read as one is a problem,
 * and the call is denied: what was not traced must not act. Numbers are read as they are written.
 */
export function bornBy(bearings: readonly Bearing[], args: JsonObject): Bears {
  const values: Borne[] = []
  for (const { at, kind } of bearings) {
    for (const [place, value] of reach(args, at)) {
      if (value === null || value === '') continue
      const text = typeof value === 'number' ? String(value) : value
      if (typeof text !== 'string' || text.length > mostCharacters)
        return {
          ok: false,
          problem: `argument \`${place}\` is no ${kind} of at most ${mostCharacters} characters`,
        }
      values.push({ at: place, kind, value: text })
      if (values.length > mostValues)
        return { ok: false, problem: `the call names more than ${mostValues} targets; split it` }
    }
  }
  return { ok: true, values }
}

/** The values at a pointer with wildcards, each with its own pointer. A list where the pointer expects a value is each of its items. */
export function* reach(root: Json, pointer: string): Generator<readonly [string, Json]> {
  const parts = pointer.split('/').slice(1)
  const rest: { readonly value: Json; readonly at: string; readonly depth: number }[] = [
    { value: root, at: '', depth: 0 },
  ]
  for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
    const { value, at, depth } = next
    const part = parts[depth]
    if (part === undefined) {
      if (Array.isArray(value))
        for (const [i, item] of [...value.entries()].reverse())
          rest.push({ value: item, at: `${at}/${i}`, depth })
      else yield [at, value]
    } else if (part === '*') {
      for (const [name, item] of membersOf(value).reverse())
        rest.push({ value: item, at: `${at}/${escape(name)}`, depth: depth + 1 })
    } else {
      const name = part.replaceAll('~1', '/').replaceAll('~0', '~')
      const found = membersOf(value).find(([one]) => one === name)
      if (found !== undefined) rest.push({ value: found[1], at: `${at}/${part}`, depth: depth + 1 })
    }
  }
}

const membersOf = (value: Json): [string, Json][] => {
  if (Array.isArray(value)) return value.map((item, i) => [String(i), item])
  return isJsonObject(value) ? Object.entries(value) : []
}

const escape = (name: string): string => name.replaceAll('~', '~0').replaceAll('/', '~1')

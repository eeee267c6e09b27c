import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'

/** What kind of thing a target-bearing argument names. */
export const bearingKinds = ['recipient', 'account', 'url', 'path', 'id', 'amount', 'command'] as const
export type BearingKind = (typeof bearingKinds)[number]

/** `links`: a text that others are shown, whose links are fetched as it is shown; each of them is a URL that the call reaches. */
export const bearings = [...bearingKinds, 'links'] as const

/** An argument that decides where a call acts: a JSON pointer (RFC 6901) in which `*` stands for every item or member. */
export type Bearing = { readonly at: string; readonly kind: (typeof bearings)[number] }

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
      if (kind === 'links') {
        if (typeof text !== 'string') return { ok: false, problem: `argument \`${place}\` is no text` }
        const links = linksOf(text)
        if (links.length > mostValues) return tooMany
        values.push(...links.map((link) => ({ at: place, kind: 'url', value: link }) as const))
        continue
      }
      if (typeof text !== 'string' || text.length > mostCharacters)
        return {
          ok: false,
          problem: `argument \`${place}\` is no ${kind} of at most ${mostCharacters} characters`,
        }
      if (isOption(kind, text))
        return {
          ok: false,
          problem: `argument \`${place}\` begins with a dash, which the program behind a tool takes for an option`,
        }
      values.push({ at: place, kind, value: text })
      if (values.length > mostValues) return tooMany
    }
  }
  return { ok: true, values }
}

const tooMany = { ok: false, problem: `the call names more than ${mostValues} targets; split it` } as const

/**
 * A revision `--output=/home/u/.bashrc` makes `git diff` write a file (CVE-2025-68144). Paths, addresses and URLs never
 * begin so (a file may be given as `./-x`); ids do at times, and count as options only where they look like one.
 */
function isOption(kind: BearingKind, text: string): boolean {
  const bare = text.trimStart()
  if (!bare.startsWith('-') || kind === 'amount' || kind === 'command') return false
  return kind === 'id' || kind === 'account' ? /^(?:--|-[a-z]?$|-.*[=/:\s])/is.test(bare) : true
}

/** What programs that show a text turn into links: URLs, with `www.` or without, in Markdown or not. */
const linksOf = (text: string): readonly string[] =>
  [
    ...new Set(
      text.match(
        /(?:\b(?:https?|ftp|wss?|file):\/*|\bwww\.|(?<![\w@./-])(?:[\w-]+\.)+[a-z]{2,24}(?=[/?#:]\S))[^\s<>"'`|()[\]{}]+/gi,
      ) ?? [],
    ),
  ].map((link) => link.slice(0, mostCharacters))

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

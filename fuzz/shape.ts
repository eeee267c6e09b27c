import type { Material } from './mutate.ts'
import type { Random } from './random.ts'

/** JSON as pairs and lists of nodes rather than values: two equal names, `__proto__` and odd numbers must survive. */
type Node =
  | { readonly kind: 'raw'; text: string }
  | { readonly kind: 'list'; readonly items: Node[] }
  | { readonly kind: 'map'; readonly members: { name: string; value: Node }[] }

/**
 * Changes the JSON in an input by its structure: the longest run that starts at a brace or bracket and reads as JSON.
 * What stands around it (a request's head, an event's field) stays. Without any JSON the input stays as it is.
 */
export function mutateJson(input: Buffer, material: Material): Buffer {
  const text = input.toString('latin1')
  const found = findJson(text, material.random)
  if (found === null) return input
  const root = { kind: 'list' as const, items: [found.node] }
  change(root, material)
  const written = root.items.map(write).join(',')
  return Buffer.from(text.slice(0, found.from) + written + text.slice(found.to), 'latin1')
}

function findJson(
  text: string,
  random: Random,
): { readonly node: Node; readonly from: number; readonly to: number } | null {
  const starts = [...text.matchAll(/[{[]/g)].slice(0, 64).map((match) => match.index)
  // Mostly the first, which holds all the others.
  const tries = random.chance(0.8) ? starts : starts.toSorted(() => random.below(3) - 1)
  for (const from of tries.slice(0, 8)) {
    const reader = { text, at: from, left: 2_000 }
    const node = read(reader, 0)
    if (node !== null) return { node, from, to: reader.at }
  }
  return null
}

type Reader = { readonly text: string; at: number; left: number }

const scalar = /"(?:[^"\\]|\\[^])*"|-?[0-9][0-9.eE+-]*|[A-Za-z]+/y

function read(reader: Reader, depth: number): Node | null {
  blanks(reader)
  const open = reader.text[reader.at]
  if (depth > 200 || reader.left-- <= 0) return null
  if (open === '[') return readList(reader, depth)
  if (open === '{') return readMap(reader, depth)
  scalar.lastIndex = reader.at
  const found = scalar.exec(reader.text)
  if (found === null) return null
  reader.at += found[0].length
  return { kind: 'raw', text: found[0] }
}

function readList(reader: Reader, depth: number): Node | null {
  const items: Node[] = []
  reader.at += 1
  if (ends(reader, ']')) return { kind: 'list', items }
  for (;;) {
    const item = read(reader, depth + 1)
    if (item === null) return null
    items.push(item)
    if (ends(reader, ']')) return { kind: 'list', items }
    if (!ends(reader, ',')) return null
  }
}

function readMap(reader: Reader, depth: number): Node | null {
  const members: { name: string; value: Node }[] = []
  reader.at += 1
  if (ends(reader, '}')) return { kind: 'map', members }
  for (;;) {
    const name = read(reader, depth + 1)
    if (name?.kind !== 'raw' || !ends(reader, ':')) return null
    const value = read(reader, depth + 1)
    if (value === null) return null
    members.push({ name: name.text, value })
    if (ends(reader, '}')) return { kind: 'map', members }
    if (!ends(reader, ',')) return null
  }
}

function blanks(reader: Reader): void {
  while (/[ \t\r\n]/.test(reader.text[reader.at] ?? '')) reader.at += 1
}

function ends(reader: Reader, mark: string): boolean {
  blanks(reader)
  if (reader.text[reader.at] !== mark) return false
  reader.at += 1
  return true
}

const write = (node: Node): string => {
  switch (node.kind) {
    case 'raw':
      return node.text
    case 'list':
      return `[${node.items.map(write).join(',')}]`
    case 'map':
      return `{${node.members.map(({ name, value }) => `${name}:${write(value)}`).join(',')}}`
  }
}

const names = ['"__proto__"', '"constructor"', '"toString"', '"hasOwnProperty"', '"length"', '""', '"a"', '"\\u0061"', '"$ref"', '"type"'] // prettier-ignore
const values = [
  'null', 'true', 'false', '0', '-0', '-1', '1.5', '1e2', '1e21', '1e309', '9007199254740991', '9007199254740992',
  '123456789012345678901234567890', '""', '"a"', '"\\ud800"', '"\\uffff"', '"\\u0000"', '[]', '{}', '[[]]',
  '{"a":{}}', '{"__proto__":{"a":1}}', '"#"', '"#/"', '".."', '"%2e%2e"',
] // prettier-ignore

const leaf = (random: Random, words: readonly Buffer[]): Node => {
  const word = random.chance(0.3) ? random.pick(words) : undefined
  return {
    kind: 'raw',
    text: word === undefined ? (random.pick(values) ?? 'null') : JSON.stringify(word.toString('latin1')),
  }
}

/** Every place where a node stands, with a way to put another there. */
type Slot = { readonly node: Node; readonly put: (node: Node) => void; readonly drop: () => void }

function slots(node: Node): readonly Slot[] {
  const found: Slot[] = []
  const rest: Node[] = [node]
  for (let at = rest.pop(); at !== undefined && found.length < 500; at = rest.pop()) {
    if (at.kind === 'raw') continue
    const { kind } = at
    const list = kind === 'list' ? at.items : at.members
    for (const [index, one] of list.entries()) {
      const inner = 'name' in one ? one.value : one
      rest.push(inner)
      const drop = (): void => void list.splice(index, 1)
      const put = (next: Node): void => {
        if ('name' in one) one.value = next
        else if (kind === 'list') at.items[index] = next
      }
      found.push({ node: inner, put, drop })
    }
  }
  return found
}

function change(root: Node, { random, words }: Material): void {
  const all = slots(root)
  const slot = random.pick(all)
  if (slot === undefined) return
  const { node } = slot
  switch (random.below(9)) {
    case 0:
      return slot.put(leaf(random, words))
    case 1:
      return slot.drop()
    case 2:
      // A copy: a node inside itself would never end.
      return slot.put(structuredClone(random.pick(all)?.node ?? node))
    case 3:
      return slot.put({ kind: 'list', items: [node] })
    case 4:
      return slot.put(deep(node, random))
    case 5:
    case 6:
      return grow(node, random, words)
    case 7:
      return rename(node, random, words)
    default:
      return shuffle(node, random)
  }
}

/** Under many levels: what recurses is tried with what is deep. */
function deep(node: Node, random: Random): Node {
  let out = node
  const levels = random.pick([2, 8, 33, 65, 130]) ?? 2
  for (let level = 0; level < levels; level++)
    out = random.chance(0.5)
      ? { kind: 'list', items: [out] }
      : { kind: 'map', members: [{ name: '"a"', value: out }] }
  return out
}

const nameOf = (random: Random, words: readonly Buffer[]): string => {
  const word = random.chance(0.6) ? random.pick(words) : undefined
  return word === undefined ? (random.pick(names) ?? '"a"') : JSON.stringify(word.toString('latin1'))
}

function grow(node: Node, random: Random, words: readonly Buffer[]): void {
  if (node.kind === 'raw') {
    if (node.text.startsWith('"')) node.text = `${node.text.slice(0, -1)}${random.pick(['a', '\\n', '\\u200b', ' ', '/', '../', '%2e', 'A'.repeat(200)]) ?? ''}"` // prettier-ignore
    return
  }
  if (node.kind === 'list') return void node.items.push(leaf(random, words))
  // Also a name that is there already: two equal names are one of the oldest differences between readers.
  const twin = random.chance(0.3) ? random.pick(node.members)?.name : undefined
  node.members.splice(random.below(node.members.length + 1), 0, {
    name: twin ?? nameOf(random, words),
    value: leaf(random, words),
  })
}

function rename(node: Node, random: Random, words: readonly Buffer[]): void {
  const member = node.kind === 'map' ? random.pick(node.members) : undefined
  if (member === undefined) return
  const ways = [
    () => nameOf(random, words),
    () => member.name.toUpperCase(),
    () =>
      member.name.replace(/^"([^"\\])/, (_, first: string) => `"\\u00${first.charCodeAt(0).toString(16)}`),
    () => member.name.replace(/"$/, ' "'),
  ]
  member.name = random.pick(ways)?.() ?? member.name
}

function shuffle(node: Node, random: Random): void {
  const list: unknown[] = node.kind === 'list' ? node.items : node.kind === 'map' ? node.members : []
  if (list.length > 1) list.push(...list.splice(random.below(list.length), 1))
}

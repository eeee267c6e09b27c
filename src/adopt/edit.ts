import { applyEdits, findNodeAtLocation, visit } from 'jsonc-parser'
import type { Edit, Node } from 'jsonc-parser'
import { bom, membersOf, treeOf } from './entry.ts'

/** What one entry becomes. */
export type Change = {
  readonly at: readonly string[]
  readonly command: string
  readonly args: readonly string[]
}

/**
 * The text with these entries changed and every other byte as it was: comments, order, indentation, line ends, unknown
 * fields. Edits go where the old fields stood (`url` becomes `command`, `headers` becomes `args`), because taking
 * fields out would take the comments beside them. Throws when an entry is not there: the caller has just read it.
 */
export function withEntries(text: string, changes: readonly Change[]): string {
  const lead = text.startsWith(bom) ? bom : ''
  const body = text.slice(lead.length)
  const tree = treeOf(text)
  if ('problem' in tree) throw new Error(`expected valid JSON with comments; it ${tree.problem}`)
  const edits = changes.flatMap((change) => {
    const node = findNodeAtLocation(tree.root, [...change.at])
    if (node?.type !== 'object') throw new Error(`expected an entry at \`${change.at.join('.')}\``)
    return editsFor(body, node, change)
  })
  return (
    lead +
    applyEdits(
      body,
      edits.sort((a, b) => a.offset - b.offset),
    )
  )
}

type Member = ReturnType<typeof membersOf>[number]
const obsolete: ReadonlySet<string> = new Set(['url', 'headers', 'envFile'])

function editsFor(body: string, entry: Node, { command, args }: Change): readonly Edit[] {
  const members = membersOf(entry)
  const fields = [
    { name: 'command', text: JSON.stringify(command) },
    { name: 'args', text: `[${args.map((arg) => JSON.stringify(arg)).join(', ')}]` },
  ]
  const edits: Edit[] = []
  for (const { name, value } of members) {
    if (name === 'env' && (value.children ?? []).length > 0) edits.push(over(value, '{}'))
    if (name === 'type' || name === 'transport') edits.push(over(value, '"stdio"'))
  }
  const slots = members.filter(({ name }) => obsolete.has(name))
  const missing = fields.filter(({ name, text }) => {
    const present = members.find((member) => member.name === name)
    if (present !== undefined) edits.push(over(present.value, text))
    return present === undefined
  })
  const placed = slots.map((slot) => ({ slot, fields: missing.splice(0, 1) }))
  const last = placed.findLast((place) => place.fields.length > 0)
  if (last !== undefined) last.fields.push(...missing.splice(0))
  const gone = new Set(placed.filter((place) => place.fields.length === 0).map((place) => place.slot))
  const kept = members.filter((member) => !gone.has(member))
  for (const { slot, fields: here } of placed) {
    if (here.length > 0) edits.push(over(slot.property, written(body, slot, here)))
    else edits.push(...removal(body, slot, kept))
  }
  const anchor = members.find(({ name }) => name === 'command')
  if (missing.length > 0 && anchor !== undefined) {
    edits.push({
      offset: anchor.property.offset + anchor.property.length,
      length: 0,
      content: separator(body, anchor) + written(body, anchor, missing),
    })
  }
  return edits
}

const over = (node: Node, content: string): Edit => ({ offset: node.offset, length: node.length, content })

const written = (
  body: string,
  beside: Member,
  fields: readonly { readonly name: string; readonly text: string }[],
): string => fields.map(({ name, text }) => `${JSON.stringify(name)}: ${text}`).join(separator(body, beside))

/** What stands between two fields here: a line of the same indentation and line end, or a space. */
function separator(body: string, { property }: Member): string {
  const line = /(\r?\n)([ \t]*)$/.exec(body.slice(0, property.offset))
  return line === null ? ', ' : `,${line[1] ?? ''}${line[2] ?? ''}`
}

/**
 * The field and the comma after it; the last field takes the comma after the last one kept: Claude Desktop reads
 * strict JSON, where a comma before the brace is an error. Comments around it stay.
 */
function removal(body: string, { property }: Member, kept: readonly Member[]): readonly Edit[] {
  const end = property.offset + property.length
  const after = commaIn(body, end, body.length)
  const before = kept.findLast((member) => member.property.offset < property.offset)
  const from = before === undefined ? null : before.property.offset + before.property.length
  const comma = after ?? (from === null ? null : commaIn(body, from, property.offset))
  // Its line goes with it only when nothing else is on it: a line break also ends the comment before it.
  const rest = after === end ? end + 1 : end
  const alone = /^[ \t]*(?=\r?\n)/.exec(body.slice(rest))
  const line = alone === null ? null : /\r?\n[ \t]*$/.exec(body.slice(0, property.offset))
  const own = {
    offset: line?.index ?? property.offset,
    length: end - (line?.index ?? property.offset),
    content: '',
  }
  return comma === null ? [own] : [own, { offset: comma, length: 1, content: '' }]
}

/** Where the next comma is, when nothing but white space and comments comes before it. */
function commaIn(body: string, from: number, to: number): number | null {
  const between = /^(?:\s|\/\/[^\n]*|\/\*[^]*?\*\/)*,/.exec(body.slice(from, to))
  return between === null ? null : from + between[0].length - 1
}

/** The text with these values taken out of its comments: a token that was commented out is a token in a file. */
export function withCleanComments(text: string, values: readonly string[]): string {
  const lead = text.startsWith(bom) ? bom : ''
  const body = text.slice(lead.length)
  const edits: Edit[] = []
  const onComment = (offset: number, length: number): void => {
    const comment = body.slice(offset, offset + length)
    const clean = values.reduce(
      (rest, value) => rest.replaceAll(value, '[moved to the sealed store]'),
      comment,
    )
    if (clean !== comment) edits.push({ offset, length, content: clean })
  }
  visit(body, { onComment }, { allowTrailingComma: true })
  return lead + applyEdits(body, edits)
}

/** How often each value is still in the text, as it is or escaped. Zero everywhere is what adopt promises. */
export function remaining(text: string, values: readonly string[]): readonly number[] {
  const tree = treeOf(text)
  const strings: string[] = []
  const rest: Node[] = 'problem' in tree ? [] : [tree.root]
  for (let node = rest.pop(); node !== undefined; node = rest.pop()) {
    if (node.type === 'string') strings.push(String(node.value))
    rest.push(...(node.children ?? []))
  }
  return values.map((value) => {
    const forms = new Set([value, JSON.stringify(value).slice(1, -1)])
    const raw = Math.max(...[...forms].map((form) => text.split(form).length - 1))
    return Math.max(
      raw,
      strings.reduce((sum, string) => sum + string.split(value).length - 1, 0),
    )
  })
}

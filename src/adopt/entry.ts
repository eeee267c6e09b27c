import { findNodeAtLocation, getNodeValue, parseTree, printParseErrorCode } from 'jsonc-parser'
import type { Node, ParseError } from 'jsonc-parser'
import type { Form, Place } from './place.ts'

/** One server as a client has it configured. `value` is untrusted text from a file; nothing of it is checked yet. */
export type Entry = {
  readonly place: Place
  /** Where it stands in the file. */
  readonly at: readonly string[]
  readonly name: string
  /** The folder that its relative paths mean. */
  readonly folder: string | null
  readonly value: { readonly [field: string]: unknown }
}

export type Found = {
  readonly entries: readonly Entry[]
  /** Folders that the file speaks of (Claude Code keeps a list of projects). */
  readonly projects: readonly string[]
  readonly problems: readonly { readonly entry: string | null; readonly why: string }[]
}

export const bom = '\ufeff'

/** Comments and trailing commas are taken as the clients take them. Null for text that is no JSONC at all. */
export function treeOf(text: string): { readonly root: Node } | { readonly problem: string } {
  const errors: ParseError[] = []
  const body = text.startsWith(bom) ? text.slice(1) : text
  const root = parseTree(body, errors, { allowTrailingComma: true })
  const error = errors[0]
  if (error !== undefined) {
    const lines = body.slice(0, error.offset).split('\n')
    const place = `line ${lines.length}, column ${(lines.at(-1)?.length ?? 0) + 1}`
    return {
      problem: `is not valid JSON with comments (${printParseErrorCode(error.error)} at ${place}); correct it and run again`,
    }
  }
  if (root === undefined) return { problem: 'is empty' }
  return { root }
}

/** The servers in a file. A file that cannot be read whole gives a problem and no entries. */
export function entriesIn(place: Place, text: string): Found {
  const tree = treeOf(text)
  if ('problem' in tree) return { entries: [], projects: [], problems: [{ entry: null, why: tree.problem }] }
  const found = {
    entries: [] as Entry[],
    projects: [] as string[],
    problems: [] as { entry: string | null; why: string }[],
  }
  for (const at of tablesOf(place.form, tree.root, found.projects)) {
    const table = findNodeAtLocation(tree.root, [...at])
    if (table === undefined) continue
    if (table.type !== 'object') {
      found.problems.push({ entry: at.join('.'), why: 'expected an object of servers' })
      continue
    }
    const folder = at[0] === 'projects' ? (at[1] ?? null) : place.project
    for (const member of membersOf(table)) {
      const why = twice(table, member.name) ? 'the name stands there twice; keep one' : unfit(member.value)
      if (why !== null) found.problems.push({ entry: member.name, why })
      else
        found.entries.push({
          place,
          at: [...at, member.name],
          name: member.name,
          folder,
          value: getNodeValue(member.value),
        })
    }
  }
  return found
}

/** Paths of the tables of servers in a file of this form. */
function tablesOf(form: Form, root: Node, projects: string[]): readonly (readonly string[])[] {
  switch (form) {
    case 'mcp-servers':
      return [['mcpServers']]
    case 'servers':
      return [['servers']]
    case 'settings':
      return [['mcp', 'servers']]
    case 'servers-of-claude-code': {
      const table = findNodeAtLocation(root, ['projects'])
      if (table?.type === 'object') projects.push(...membersOf(table).map((member) => member.name))
      return [['mcpServers'], ...projects.map((project) => ['projects', project, 'mcpServers'])]
    }
  }
}

export function membersOf(
  object: Node,
): readonly { readonly name: string; readonly value: Node; readonly property: Node }[] {
  return (object.children ?? []).flatMap((property) => {
    const [key, value] = property.children ?? []
    return key === undefined || value === undefined ? [] : [{ name: String(key.value), value, property }]
  })
}

/** Readers disagree on which of two equal names counts: what was planned might not be what the client runs. */
const twice = (object: Node, name: string): boolean =>
  membersOf(object).filter((member) => member.name === name).length > 1

function unfit(value: Node): string | null {
  if (value.type !== 'object') return 'expected an object'
  const names = membersOf(value).map((member) => member.name)
  if (names.includes('__proto__')) return 'a field may not be called `__proto__`'
  return new Set(names).size === names.length ? null : 'a field stands there twice; keep one'
}

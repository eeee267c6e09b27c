import { parseTree, type Node } from 'jsonc-parser'

/** Names that stand twice in one object of a JSON text, after unescaping: an oracle that shares nothing with our reader. */
export function findAll(text: string): readonly string[] {
  const root = parseTree(text, [], { disallowComments: true })
  const found: string[] = []
  const rest: Node[] = root === undefined ? [] : [root]
  for (let node = rest.pop(); node !== undefined; node = rest.pop()) {
    const names = new Set<unknown>()
    for (const child of node.children ?? []) {
      rest.push(child)
      if (node.type !== 'object') continue
      const name: unknown = child.children?.[0]?.value
      if (names.has(name)) found.push(String(name))
      names.add(name)
    }
  }
  return found
}

/** All names in a JSON text with comments, at any depth. */
export function namesIn(text: string): readonly string[] {
  const root = parseTree(text, [], { allowTrailingComma: true })
  const found: string[] = []
  const rest: Node[] = root === undefined ? [] : [root]
  for (let node = rest.pop(); node !== undefined; node = rest.pop()) {
    if (node.type === 'property') found.push(String(node.children?.[0]?.value))
    rest.push(...(node.children ?? []))
  }
  return found
}

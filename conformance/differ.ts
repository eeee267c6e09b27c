/** The first place where two values differ, in words; null when they are alike. The order of members does not count. */
export function firstDifference(direct: unknown, through: unknown, at = ''): string | null {
  if (Object.is(direct, through)) return null
  if (!isTree(direct) || !isTree(through) || Array.isArray(direct) !== Array.isArray(through))
    return `${at === '' ? 'the whole' : at}: directly ${shortly(direct)}, through the broker ${shortly(through)}`
  for (const key of new Set([...Object.keys(direct), ...Object.keys(through)])) {
    const found = firstDifference(Reflect.get(direct, key), Reflect.get(through, key), `${at}/${key}`)
    if (found !== null) return found
  }
  return null
}

const isTree = (value: unknown): value is object => typeof value === 'object' && value !== null

const shortly = (value: unknown): string => (JSON.stringify(value) ?? 'nothing').slice(0, 200)

import type { BearingKind } from './bears.ts'
import { formsOf, plainOf } from './normal.ts'

/**
 * The words of the person, made ready to be asked. A value comes from the purpose when its words stand there whole, one
 * after the other, in any spelling. The whole text is the person's, so this is the one place where a part is enough.
 */
export type PurposeWords = { names(kind: BearingKind, value: string): boolean }

const mostWords = 4096
/** Numbers are written in groups: so many words may be one number. */
const mostGroups = 10

export function purposeWords(text: string): PurposeWords {
  const words = plainOf(text.slice(0, 64 * 1024))
    .split(' ')
    .slice(0, mostWords)
    .map(plainOf)
    .filter((word) => word !== '')
  const line = ` ${words.join(' ')} `
  const whole = new Map<BearingKind, ReadonlySet<string>>()
  const formsFor = (kind: BearingKind): ReadonlySet<string> => {
    const known = whole.get(kind)
    if (known !== undefined) return known
    const made = new Set(spans(text, kind).flatMap((span) => formsOf(kind, span)))
    whole.set(kind, made)
    return made
  }
  return {
    names(kind, value) {
      const forms = formsOf(kind, value)
      if (forms.length === 0) return false
      const stands = kind !== 'amount' && kind !== 'url' && kind !== 'path'
      if (stands && forms.some((form) => line.includes(` ${form.split(' ').map(plainOf).join(' ')} `)))
        return true
      return forms.some((form) => formsFor(kind).has(form))
    },
  }
}

/** Single words; for numbers also groups of them; for paths also their ends, as people name a file without its folder. */
function spans(text: string, kind: BearingKind): readonly string[] {
  const raw = text
    .slice(0, 64 * 1024)
    .split(/\s+/)
    .slice(0, mostWords)
  const groups =
    kind === 'recipient' || kind === 'account' || kind === 'id' ? mostGroups : kind === 'path' ? 4 : 1
  const all: string[] = []
  for (let from = 0; from < raw.length; from += 1)
    for (let count = 1; count <= groups && from + count <= raw.length; count += 1)
      all.push(raw.slice(from, from + count).join(' '))
  if (kind === 'path')
    for (const quoted of text.matchAll(/["'`]([^"'`]{1,512})["'`]/g)) all.push(quoted[1] ?? '')
  return all.map((span) => span.replace(/^[\s"'`<([{]+|[\s"'`>)\]},;:!?]+$|\.$/g, ''))
}

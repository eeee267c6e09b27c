import { isJsonObject, type Json } from '../lib/json.ts'

/**
 * Characters that a person cannot see, or that move what they see: controls (and with them ANSI sequences), format
 * characters (bidirectional overrides, zero width, tags), unassigned and private ones, separators that are no plain
 * space, variation selectors and letters that are drawn as nothing.
 */
const unseen =
  /[\p{Cc}\p{Cf}\p{Cn}\p{Co}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]|(?! )\p{Zs}/gu

/** Every unseen character as its escape; what is shown is then all there is. A backslash is doubled, so that no text can pose as one. */
export const visible = (text: string): string => text.replaceAll('\\', '\\\\').replace(unseen, escaped)

/** What in a value could mislead an eye: characters that cannot be seen (line ends and tabs aside), and long blanks. */
export function misleading(value: Json): { readonly unseen: number; readonly blanks: boolean } {
  const texts = textsIn(value)
  const unseenIn = (text: string): number => text.replaceAll(/[\t\n\r]/g, '').match(unseen)?.length ?? 0
  return {
    unseen: texts.reduce((sum, text) => sum + unseenIn(text), 0),
    blanks: texts.some((text) => /\s{40}/u.test(text)),
  }
}

function textsIn(value: Json): readonly string[] {
  if (typeof value === 'string') return [value]
  if (Array.isArray(value)) return value.flatMap(textsIn)
  return isJsonObject(value)
    ? Object.entries(value).flatMap(([name, inner]) => [name, ...textsIn(inner)])
    : []
}

/**
 * JSON over several lines, complete and in canonical order, that reads back to the same value: unseen characters are
 * written as JSON escapes.
 */
export function showJson(value: Json, indent = ''): readonly string[] {
  if (Array.isArray(value))
    return block(
      ['[', ']'],
      value.map((item) => ({ name: '', value: item })),
      indent,
    )
  if (isJsonObject(value)) {
    const names = Object.keys(value).sort()
    return block(
      ['{', '}'],
      names.map((name) => ({ name: `${quote(name)}: `, value: value[name] ?? null })),
      indent,
    )
  }
  return [typeof value === 'string' ? quote(value) : JSON.stringify(value)]
}

/** A string as JSON, with what cannot be seen written out. */
export const quote = (text: string): string => JSON.stringify(text).replace(unseen, escaped)

function block(
  marks: readonly [string, string],
  members: readonly { readonly name: string; readonly value: Json }[],
  indent: string,
): readonly string[] {
  const [open, close] = marks
  if (members.length === 0) return [open + close]
  const inner = `${indent}  `
  const lines = members.flatMap(({ name, value }, i) => {
    const [first = '', ...rest] = showJson(value, inner)
    const shown = [`${inner}${name}${first}`, ...rest]
    return i === members.length - 1 ? shown : [...shown.slice(0, -1), `${shown.at(-1) ?? ''},`]
  })
  return [open, ...lines, `${indent}${close}`]
}

function escaped(character: string): string {
  let text = ''
  for (let i = 0; i < character.length; i += 1)
    text += `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`
  return text
}

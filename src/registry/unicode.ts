/** Characters that a model reads and a person does not see, or sees as others. */

type Range = readonly [from: number, to: number, what: string]

const hidden: readonly Range[] = [
  [0x00, 0x08, 'control characters'],
  [0x0b, 0x0c, 'control characters'],
  [0x0e, 0x1a, 'control characters'],
  [0x1b, 0x1b, 'terminal escapes'],
  [0x1c, 0x1f, 'control characters'],
  [0x7f, 0x9f, 'control characters'],
  [0xad, 0xad, 'soft hyphens'],
  [0x61c, 0x61c, 'characters that turn the direction of text'],
  [0x115f, 0x1160, 'invisible fillers'],
  [0x180b, 0x180f, 'invisible characters'],
  [0x200b, 0x200d, 'zero-width characters'],
  [0x200e, 0x200f, 'characters that turn the direction of text'],
  [0x202a, 0x202e, 'characters that turn the direction of text'],
  [0x2060, 0x2064, 'zero-width characters'],
  [0x2066, 0x2069, 'characters that turn the direction of text'],
  [0x206a, 0x206f, 'invisible characters'],
  [0x2800, 0x2800, 'invisible fillers'],
  [0x3164, 0x3164, 'invisible fillers'],
  [0xfe00, 0xfe0f, 'variation selectors'],
  [0xfeff, 0xfeff, 'zero-width characters'],
  [0xffa0, 0xffa0, 'invisible fillers'],
  [0xfff9, 0xfffb, 'invisible characters'],
  [0xe0000, 0xe007f, 'tag characters'],
  [0xe0100, 0xe01ef, 'variation selectors'],
]

/** Quick answer for almost all text: nothing outside printable ASCII, tab and line ends. */
const plain = /^[\t\n\r -~]*$/
const pictograph = /\p{Extended_Pictographic}|\p{Emoji_Modifier}|[\u20e3\ufe0f]/u

/**
 * Names the kinds of hidden characters in a text, each once. A variation selector after a visible character and a
 * joiner between two pictographs are how emoji are written, so one of those alone is nothing; a run of them is a
 * message (a byte can hide in each).
 */
export function hiddenKinds(text: string): readonly string[] {
  if (plain.test(text)) return []
  const kinds = new Set<string>()
  let before = ''
  for (const character of text) {
    const kind = kindOf(character)
    if (kind !== null && !belongsToEmoji(character, before)) kinds.add(kind)
    before = character
  }
  return [...kinds].sort()
}

function kindOf(character: string): string | null {
  const code = character.codePointAt(0) ?? 0
  if (code >= 0x20 && code < 0x7f) return null
  return hidden.find(([from, to]) => code >= from && code <= to)?.[2] ?? null
}

function belongsToEmoji(character: string, before: string): boolean {
  if (character === '\ufe0f' || character === '\ufe0e') return before !== '' && kindOf(before) === null
  return character === '\u200d' && pictograph.test(before)
}

/** The text as a person would read it: compatibility forms folded, hidden characters gone, look-alikes made Latin. */
export function readable(text: string): string {
  if (plain.test(text)) return text
  let out = ''
  for (const character of text.normalize('NFKC')) {
    if (kindOf(character) === null) out += lookalikes.get(character) ?? character
  }
  return out
}

/** Whether a word mixes Latin letters with letters of another script that look like them. */
export function mixesScripts(text: string): boolean {
  if (plain.test(text)) return false
  return text
    .split(/[^\p{L}\p{M}\p{N}]+/u)
    .some(
      (word) =>
        /\p{Script=Latin}/u.test(word) &&
        /[\p{Script=Cyrillic}\p{Script=Greek}\p{Script=Armenian}\p{Script=Cherokee}]/u.test(word),
    )
}

/** What a name looks like at a glance: two names with one skeleton can be taken for each other. */
export const skeleton = (name: string): string =>
  readable(name)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '')
    .replaceAll('rn', 'm')
    .replaceAll('vv', 'w')
    .replaceAll('0', 'o')
    .replace(/[1i|]/g, 'l')
    .replaceAll('5', 's')

const lookalikes: ReadonlyMap<string, string> = new Map(
  [
    ...'аaеeоoрpсcуyхxіiјjѕsԁdһhԛqԝwΑAΒBΕEΖZΗHΙIΚKΜMΝNΟOΡPΤTΥYΧXаaвbкkмmнhтtАAВBЕEКKМMНHОOРPСCТTХXοoαaνvρpτtιiκk'.matchAll(
      /(.)(.)/gu,
    ),
  ].map((pair): [string, string] => [pair[1] ?? '', pair[2] ?? '']),
)

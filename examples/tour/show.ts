import { bold, cyan, dim, green, red, visible, yellow, type Terminal } from '../../src/cli/output.ts'
import { entryLines, type Line } from './entry.ts'
import type { Beat, Step } from './step.ts'
import type { Teller } from './run.ts'

/** Two columns in 100: the story on the left, what the log says of it on the right. */
const left = 56
const right = 41
const label = 10

export type Screen = Pick<Terminal, 'out' | 'colour'>

/** For people. */
export function storyteller(screen: Screen): Teller {
  const line = (text = '') => screen.out(`${text}\n`)
  return {
    begun(number, step) {
      line()
      const title = ` ${number}  ${visible(step.title)} `
      line(bold(screen, title) + dim(screen, '─'.repeat(Math.max(0, left + right + 3 - title.length))))
    },
    beat(beat) {
      line()
      for (const row of sideBySide(screen, beat)) line(row)
    },
    ended(_number, _step, problem) {
      if (problem === null) return
      line()
      for (const text of wrap(visible(problem), left + right - label)) line(red(screen, `  BROKEN ${text}`))
    },
  }
}

/** For machines: one JSON object a step. */
export function recorder(out: (text: string) => void): Teller {
  const beats: Beat[] = []
  return {
    begun: () => void beats.splice(0),
    beat: (beat) => void beats.push(beat),
    ended(number, { name, title }: Step, problem) {
      const how = problem === null ? { ok: true } : { ok: false, problem }
      out(`${JSON.stringify({ step: number, name, title, ...how, beats })}\n`)
    },
  }
}

function sideBySide(screen: Screen, beat: Beat): readonly string[] {
  const story = storyLines(beat)
  const entries = entryLines(beat.entries).flatMap((one) => wrapLine(one, right))
  const rows: string[] = []
  for (let index = 0; index < Math.max(story.length, entries.length); index += 1) {
    const rule = entries.length === 0 ? '' : dim(screen, '│')
    const ours = cell(screen, story[index], left)
    const theirs = entries[index] === undefined ? '' : paint(screen, entries[index])
    rows.push(`${ours} ${rule} ${theirs}`.trimEnd())
  }
  return rows
}

function storyLines({ who, did, came }: Beat): readonly Line[] {
  const width = left - label
  const told = wrap(visible(did), width).map((text, index): Line => {
    const name = index === 0 ? ` ${who}`.padEnd(label) : ' '.repeat(label)
    return { text: `${name}${text}`, tone: index === 0 ? 'who' : 'plain' }
  })
  const back = came.flatMap((one) =>
    wrap(visible(one), width - 2).map((text, index): Line => {
      const mark = index === 0 ? '› ' : '  '
      return { text: `${' '.repeat(label)}${mark}${text}`, tone: 'quote' }
    }),
  )
  return [...told, ...back]
}

const cell = (screen: Screen, line: Line | undefined, width: number): string => {
  const text = line?.text ?? ''
  return (line === undefined ? '' : paint(screen, line)) + ' '.repeat(Math.max(0, width - text.length))
}

function paint(screen: Screen, line: Line | undefined): string {
  if (line === undefined) return ''
  const { text, tone } = line
  switch (tone) {
    case 'who':
      return cyan(screen, text.slice(0, label)) + text.slice(label)
    case 'quote':
      return yellow(screen, text)
    case 'good':
      return green(screen, text)
    case 'bad':
      return red(screen, text)
    case 'strong':
      return bold(screen, text)
    case 'quiet':
      return dim(screen, text)
    case 'plain':
      return text
  }
}

/** Lines of at most `width`; a word that is longer is cut. */
export function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = []
  const indent = /^ */.exec(text)?.[0].slice(0, 12) ?? ''
  let line = indent
  for (const word of text.trim().split(' ')) {
    if (line.trim() !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = indent
    }
    let rest = line.trim() === '' ? `${line}${word}` : `${line} ${word}`
    for (; rest.length > width; rest = `${indent}${rest.slice(width)}`) lines.push(rest.slice(0, width))
    line = rest
  }
  return [...lines, line]
}

const wrapLine = ({ text, tone }: Line, width: number): readonly Line[] =>
  wrap(text, width).map((one): Line => ({ text: one, tone }))

import { brief } from './bounds.ts'
import type { Change, Drift } from './drift.ts'
import type { Run } from './words.ts'

const maxLines = 200
const maxLine = 400

/**
 * A drift as lines for a terminal or a log: `!` danger, `~` warning, `·` note, then words that went and came as
 * `[-old-]{+new+}`, then what a model would newly read. Hidden and control characters are made visible, so that the
 * text of a stranger cannot draw on the reviewer's screen.
 */
export function renderDrift(drift: Drift): readonly string[] {
  const lines: string[] = []
  for (const change of drift.changes) {
    lines.push(`${marks[change.severity]} ${brief(change.at, 160)}: ${visible(change.message)}`)
    if (change.runs.length > 0) lines.push(`    ${renderRuns(change)}`)
  }
  if (drift.newlyRead.length > 0) {
    lines.push('a model would newly read:', ...drift.newlyRead.map((sentence) => `  + ${visible(sentence)}`))
  }
  return lines.length > maxLines
    ? [...lines.slice(0, maxLines), `… ${lines.length - maxLines} more lines`]
    : lines
}

const marks = { danger: '!', warning: '~', note: '·' } as const

function renderRuns(change: Change): string {
  return change.runs
    .map((run, index) => renderRun(run, index === 0, index === change.runs.length - 1))
    .join(' ')
}

function renderRun(run: Run, isFirst: boolean, isLast: boolean): string {
  const text = visible(run.items.join(' '))
  if (run.kind === 'added') return `{+${text}+}`
  if (run.kind === 'removed') return `[-${text}-]`
  // Of what stayed, the words next to a change are enough.
  const words = text.split(' ')
  if (words.length <= 8) return text
  if (isFirst) return `… ${words.slice(-4).join(' ')}`
  return isLast
    ? `${words.slice(0, 4).join(' ')} …`
    : `${words.slice(0, 4).join(' ')} … ${words.slice(-4).join(' ')}`
}

/** Everything outside visible characters is written as its code point. */
function visible(text: string): string {
  const shown = text
    .slice(0, maxLine * 2)
    .replace(/\s+/g, ' ')
    .replace(
      /[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu,
      (character) => `⟨U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}⟩`,
    )
    .replace(
      /[\ufe00-\ufe0f\u{e0100}-\u{e01ef}]/gu,
      (character) => `⟨U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase()}⟩`,
    )
  return shown.length > maxLine ? `${shown.slice(0, maxLine)}…` : shown
}

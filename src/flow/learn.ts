import { allForms } from './normal.ts'
import { join, type Labels } from './labels.ts'
import { keyText } from './key.ts'
import { valuesOf, type FieldValue, type ResultLabels, type Worth } from './fields.ts'
import type { JsonObject } from '../lib/json.ts'
import type { Sinks } from './sinks.ts'
import type { Standing } from './origins.ts'

/** A value that a result taught a task, by its key. */
export type Lesson = { readonly key: string; readonly standing: Standing }

export type Learnt = { readonly labels: Labels; readonly lessons: readonly Lesson[] }

export type Reading = {
  readonly result: JsonObject
  readonly tool: { readonly id: string; readonly server: string }
  /** The tool's own labels, for what no field covers. */
  readonly own: Omit<Worth, 'directory'>
  readonly results: ResultLabels | undefined
  readonly secret: Uint8Array
  readonly sinks: Sinks
  /** Keys of what the call acted on: a place that a tainted task wrote to is not trusted, whatever its tool says. */
  readonly places: readonly string[]
  /**
   * Leaves out where untrusted values were met. No origin changes by it as long as nobody lowers the task's labels: what
   * is found nowhere counts as untrusted there. For those who decide many calls again and explain none.
   */
  readonly onlyVouched?: boolean
}

/** So many values of one result are kept for tracing; what was not kept is found nowhere later. */
const mostLessons = 512
const longestValue = 512
const longestText = 1024 * 1024

/**
 * Labels of a result by its fields, and the values in it by which later targets are traced. A value that is vouched for
 * is one that stands alone in its field: a piece of a text never is, whatever the field says. Pure.
 */
export function learn(reading: Reading): Learnt {
  const { result, results, own, tool, sinks, secret } = reading
  const lessons = new Map<string, Standing>()
  const sources = [tool.id]
  const place = reading.places
    .map((key) => sinks.place(tool.server, key))
    .reduce<Labels>((labels, found) => (found === null ? labels : join(labels, labelsOf(found, sources))), {
      confidentiality: 'public',
      integrity: 'trusted',
      sources: [],
    })
  let labels = place
  for (const value of valuesOf(result, results, own)) {
    const isVouched =
      value.isWhole && value.worth.integrity === 'trusted' && value.text.length <= longestValue
    labels = join(labels, { ...worthOf(value), sources })
    if (!isVouched) {
      if (reading.onlyVouched === true) continue
      // Nothing more would be kept: what is not found later is not trusted for it.
      if (lessons.size >= mostLessons) continue
      for (const form of tokensOf(value.text)) {
        note(lessons, keyText(secret, form), 'untrusted')
        if (lessons.size >= mostLessons) break
      }
      continue
    }
    for (const form of allForms(value.text)) {
      const key = keyText(secret, form)
      const tainted = sinks.look(tool.server, key)
      if (tainted !== null) labels = join(labels, labelsOf(tainted, sources))
      const isTainted = place.integrity === 'untrusted' || tainted?.untrusted === true
      note(lessons, key, isTainted ? 'untrusted' : value.worth.directory ? 'directory' : 'trusted')
    }
  }
  // A result that holds nothing (a bare acknowledgement) still tells what the tool's own labels say.
  return {
    labels: labels === place && place.sources.length === 0 ? { ...own, sources } : labels,
    lessons: [...lessons].map(([key, standing]) => ({ key, standing })),
  }
}

const worthOf = ({ worth: { confidentiality, integrity } }: FieldValue) => ({ confidentiality, integrity })

const labelsOf = (
  { confidentiality, untrusted }: { confidentiality: Labels['confidentiality']; untrusted: boolean },
  sources: readonly string[],
): Labels => ({ confidentiality, integrity: untrusted ? 'untrusted' : 'trusted', sources })

/** Vouched-for values first when there are too many: they are what lets a person's work pass without a question. */
function note(lessons: Map<string, Standing>, key: string, standing: Standing): void {
  const known = lessons.get(key)
  if (known !== undefined && known !== 'untrusted') return
  if (known === undefined && lessons.size >= mostLessons) {
    if (standing === 'untrusted') return
    for (const [other, of] of lessons) {
      if (of !== 'untrusted') continue
      lessons.delete(other)
      break
    }
    if (lessons.size >= mostLessons) return
  }
  lessons.set(key, standing)
}

/**
 * What in a text looks like something that a call could act on: addresses, URLs, numbers of accounts, paths, ids. Only
 * to say later where a value was met; a value that is not found is not trusted for it.
 */
function* tokensOf(text: string): Generator<string> {
  const whole = text.length <= 256 ? allForms(text) : []
  yield* whole
  let left = mostLessons
  for (const [token] of text.slice(0, longestText).matchAll(/[^\s"'`<>()[\]{},;|]{3,256}/g)) {
    if (!looksLikeTarget(token)) continue
    yield* allForms(token)
    if ((left -= 1) === 0) return
  }
}

const looksLikeTarget = (token: string): boolean => /[@/\\]|\d|\w\.\w{2}/.test(token)

import { classify, type Classified } from '../flow/classify.ts'
import { demand, seal } from './seal.ts'
import { join, rank, unlabelled, type Confidentiality, type Labels } from '../flow/labels.ts'
import { learn, type Learnt, type Lesson } from '../flow/learn.ts'
import { placesOf } from '../flow/flow.ts'
import type { ServerAnswer } from '../server/answer.ts'
import { lentSecrets } from '../credential/secret.ts'
import { redactAnswer } from '../flow/redact.ts'
import type { Answered, Labelled } from './states.ts'
import type { Ports } from './ports.ts'

/**
 * Stage 9. Pure. Classifies what came back, redacts what was lent (I5), and joins it with what the task has read.
 * Labels only rise (I6); a body above the task's clearance is withheld.
 */
export function label(
  ports: { readonly settings: Pick<Ports['settings'], 'clearance'> },
  product: Answered,
): Labelled {
  demand(product, 'answered')
  const { answer, bound, lease } = product
  const { value: body, counts } = redactAnswer(answer, lease === null ? [] : lentSecrets(lease))
  const { own, lessons } = readIn(product, body)
  return seal('labelled', {
    ...product,
    labels: join(bound.labels, own),
    lessons,
    body,
    redacted: counts,
    withheld: overClearance(own, ports.settings.clearance),
  })
}

/** What an answer is worth by itself, and the values by which later targets are traced. */
export function readIn(call: Reader, body: ServerAnswer): { own: Labels; lessons: readonly Lesson[] } {
  const found = classify(body, call.tool)
  const learnt = read(call, body)
  return learnt === null
    ? { own: found.labels, lessons: [] }
    : { own: raised(learnt.labels, found), lessons: learnt.lessons }
}

type Reader = Pick<Answered, 'tool' | 'known' | 'sinks' | 'arguments'> & { readonly onlyVouched?: boolean }

/** A result by its fields; everything else a server says (errors, questions, log lines) carries its tool's own labels. */
function read(call: Reader, body: ServerAnswer): Learnt | null {
  const { tool, known, sinks, arguments: args, onlyVouched = false } = call
  if (body.kind !== 'result' || body.isError || (body.log ?? []).length > 0) return null
  const { confidentiality, integrity } = tool.review ?? unlabelled
  return learn({
    result: body.result,
    tool,
    own: { confidentiality, integrity },
    results: tool.review?.results,
    secret: known.secret,
    sinks,
    places: placesOf(tool.review, args, known.secret),
    onlyVouched,
  })
}

/** Secret-shaped values raise whatever the fields say. */
const raised = (labels: Labels, { found }: Classified): Labels =>
  Object.keys(found).length > 0 ? { ...labels, confidentiality: 'secret' } : labels

export const overClearance = (own: Labels, clearance: Confidentiality): string | null =>
  rank(own.confidentiality) > rank(clearance)
    ? `the result is ${own.confidentiality}; this broker hands over up to ${clearance}`
    : null

import { classify, type Classified } from '../flow/classify.ts'
import { demand, seal } from './seal.ts'
import { join, rank, unlabelled, type Confidentiality, type Labels } from '../flow/labels.ts'
import { learn, type Learnt } from '../flow/learn.ts'
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
  const { answer, tool, bound, lease } = product
  const { value: body, counts } = redactAnswer(answer, lease === null ? [] : lentSecrets(lease))
  const found = classify(body, tool)
  const learnt = read(product, body)
  const own = learnt === null ? found.labels : raised(learnt.labels, found)
  return seal('labelled', {
    ...product,
    labels: join(bound.labels, own),
    lessons: learnt?.lessons ?? [],
    body,
    redacted: counts,
    withheld: overClearance(own, ports.settings.clearance),
  })
}

/** A result by its fields; everything else a server says (errors, questions, log lines) carries its tool's own labels. */
function read({ tool, known, sinks, arguments: args }: Answered, body: ServerAnswer): Learnt | null {
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
  })
}

/** Secret-shaped values raise whatever the fields say. */
const raised = (labels: Labels, { found }: Classified): Labels =>
  Object.keys(found).length > 0 ? { ...labels, confidentiality: 'secret' } : labels

const overClearance = (own: Labels, clearance: Confidentiality): string | null =>
  rank(own.confidentiality) > rank(clearance)
    ? `the result is ${own.confidentiality}; this broker hands over up to ${clearance}`
    : null

import { classify } from '../flow/classify.ts'
import { demand, seal } from './seal.ts'
import { join, rank, type Confidentiality, type Labels } from '../flow/labels.ts'
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
  const own = classify(body, tool).labels
  return seal('labelled', {
    ...product,
    labels: join(bound.labels, own),
    body,
    redacted: counts,
    withheld: overClearance(own, ports.settings.clearance),
  })
}

const overClearance = (own: Labels, clearance: Confidentiality): string | null =>
  rank(own.confidentiality) > rank(clearance)
    ? `the result is ${own.confidentiality}; this broker hands over up to ${clearance}`
    : null

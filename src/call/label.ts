import { classify } from '../flow/classify.ts'
import { demand, seal } from './seal.ts'
import { join, rank, type Confidentiality, type Labels } from '../flow/labels.ts'
import { redact } from '../flow/redact.ts'
import type { Answered, Labelled } from './states.ts'
import type { Ports } from './ports.ts'

/**
 * Stage 9. Pure. Classifies what came back, redacts what was lent (I5), and joins it with what the task has read.
 * Labels only rise (I6); a body above the task's clearance is withheld.
 */
export function label(ports: { readonly settings: Pick<Ports['settings'], 'clearance'> }, product: Answered): Labelled {
  demand(product, 'answered')
  const { answer, tool, bound, lease } = product
  const { value: body, counts } = redact(answer, secretsOf(lease))
  const own = classify(tool, body)
  return seal('labelled', {
    ...product,
    labels: join(bound.labels, own),
    body,
    redacted: counts,
    withheld: overClearance(own, ports.settings.clearance),
  })
}

/** Every secret that was lent for this call, by the name under which redactions are counted. */
function secretsOf(lease: Answered['lease']) {
  if (lease === null) return []
  return [...Object.entries(lease.headers), ...Object.entries(lease.environment)].map(([name, secret]) => ({ name, secret }))
}

const overClearance = (own: Labels, clearance: Confidentiality): string | null =>
  rank(own.confidentiality) > rank(clearance) ? `the result is ${own.confidentiality}; this broker hands over up to ${clearance}` : null

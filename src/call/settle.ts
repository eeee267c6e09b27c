import { detailOf, hasBody, outcomeOf, payloadOf, release } from './outcome.ts'
import { callKeys, secretKeys } from './keys.ts'
import { demand, seal } from './seal.ts'
import { encodeLessons } from '../flow/live.ts'
import { returned } from './spilled.ts'
import { rfc3339 } from '../lib/clock.ts'
import type { Labelled, Released, Settled } from './states.ts'
import type { Outcome, OutcomeEntry } from '../audit/entry.ts'
import type { Ports } from './ports.ts'
import type { SettleRequest, SettleResult } from '../store/ports.ts'

/**
 * Stage 10. One transaction: the outcome, the raised labels, the closed lease. Only then may anything that the server
 * said leave (I3). Revocation is compared a third time: an answer to a revoked task is withheld.
 */
export async function settle(ports: SettlePorts, product: Labelled): Promise<Settled> {
  demand(product, 'labelled')
  const { arrival, bound, tool, lease } = product
  let row: 'closed' | undefined
  try {
    const { outcome, released } = await decided(ports, product)
    row = 'closed'
    return seal('settled', {
      call: arrival.call,
      task: bound.task.id,
      agent: bound.task.agent,
      outcome,
      tool,
      ask: askOf(product),
      answer: released,
    })
  } finally {
    if (lease !== null) await ports.lenders.close(lease, row)
  }
}

type SettlePorts = Pick<
  Ports,
  'calls' | 'catchUp' | 'clock' | 'recorder' | 'revocations' | 'lenders' | 'settings'
>
type Written = { readonly outcome: Outcome; readonly released: Released }

/** What another node revoked or ended meanwhile counts too: the store compares, and then it is judged again. */
async function decided(ports: SettlePorts, product: Labelled): Promise<Written> {
  let late = tooLate(ports, product)
  for (let attempt = 1; ; attempt += 1) {
    const last = late !== null || attempt === 3
    const expect = last ? null : { revocations: ports.revocations.epoch() }
    const written = await write(ports, product, { late, expect })
    if (!('problem' in written)) return written
    if (written.problem !== 'moved' || last)
      throw new Error(`\`${product.arrival.call}\` could not be settled: ${written.problem}`)
    await ports.catchUp(written.heads)
    late = written.ended === null ? tooLate(ports, product) : `\`${written.ended}\` has ended`
  }
}

async function write(
  ports: SettlePorts,
  product: Labelled,
  { late, expect }: { readonly late: string | null; readonly expect: SettleRequest['expect'] },
): Promise<Written | Extract<SettleResult, { readonly problem: string }>> {
  const { arrival, bound, lease, body } = product
  const withheld = late ?? product.withheld
  const released = release(body, withheld, late !== null)
  const outcome = outcomeOf(body, released)
  const at = ports.clock.now()
  const payload = hasBody(body) ? ports.recorder.commit('result', payloadOf(body)) : null
  // In the order of the canonical form, which then has nothing to sort.
  const entry: OutcomeEntry = {
    at: rfc3339(at),
    broker: ports.settings.broker,
    call: arrival.call,
    detail: withheld ?? detailOf(body),
    durationMs: Math.max(0, at - product.now),
    kind: 'outcome',
    labels: product.labels,
    lease: lease === null ? null : { id: lease.id, secrets: lease.secrets },
    outcome,
    redacted: product.redacted,
    result: payload?.commitment ?? null,
    task: bound.task.id,
    v: 1,
  }
  const settled = await ports.calls.settle({
    call: arrival.call,
    task: bound.task.id,
    outcome,
    at,
    entry: ports.recorder.encode(entry),
    payload,
    raise: product.labels,
    // What was withheld the task has not met.
    taught:
      withheld !== null || product.lessons.length === 0
        ? null
        : encodeLessons(product.tool.id, product.lessons),
    spilled: returned(product),
    lease: lease?.span === 'call' ? lease.id : null,
    expect,
  })
  return 'problem' in settled ? settled : { outcome, released }
}

/** Revoked, or its task ended, while the server worked: in words, or null. */
function tooLate({ revocations }: Pick<Ports, 'revocations'>, product: Labelled): string | null {
  const revoked = revocations.first([...callKeys(product), ...secretKeys(product.lease?.secrets ?? [])])
  if (revoked !== null) return `\`${revoked}\` is revoked`
  const ended = revocations.ended([product.bound.task.id, ...product.bound.ancestors.map(({ id }) => id)])
  return ended === null ? null : `\`${ended}\` has ended`
}

const askOf = ({ approval, arrival }: Labelled): string | null => approval?.ask ?? arrival.leg?.ask ?? null

import { callKeys, secretKeys } from './keys.ts'
import { demand, seal } from './seal.ts'
import type { Answered, Equipped, Intended } from './states.ts'
import type { Ports } from './ports.ts'
import type { ServerAnswer } from '../server/answer.ts'

type NotSent = Extract<ServerAnswer, { kind: 'not-sent' }>

/**
 * Stage 7. Equips the call with the narrowest credential for this task, and compares revocation a second time: between
 * the decision and now a person may have pulled the plug. What cannot be lent is answered `not-sent`; the intent
 * stands, so `settle` is reached all the same.
 */
export async function lend(
  ports: Pick<Ports, 'lenders' | 'revocations' | 'clock'>,
  product: Intended,
): Promise<Equipped | Answered> {
  demand(product, 'intended')
  const { arrival, bound, tool } = product
  const unsent = (problem: NotSent['problem'], detail: string): Answered =>
    seal('answered', {
      ...product,
      lease: null,
      sinks: product.known.sinks,
      answer: { kind: 'not-sent', problem, detail },
    })

  const before = ports.revocations.first(callKeys(product))
  if (before !== null) return unsent('revoked', `\`${before}\` is revoked`)

  const lease = await ports.lenders.lend({
    server: tool.server,
    task: bound.task.id,
    call: arrival.call,
    until: bound.task.expiresAt,
    now: ports.clock.now(),
  })
  if ('problem' in lease) return unsent('no-credential', lease.detail)

  const after = ports.revocations.first([...callKeys(product), ...secretKeys(lease.secrets)])
  if (after !== null) {
    await ports.lenders.close(lease)
    return unsent('revoked', `\`${after}\` is revoked`)
  }
  return seal('equipped', { ...product, lease })
}

/** Tells a product that still has to be sent from one that already has its (negative) answer. */
export const isEquipped = (product: Equipped | Answered): product is Equipped => !('answer' in product)

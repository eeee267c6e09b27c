import { callKeys, secretKeys } from './keys.ts'
import { demand, seal } from './seal.ts'
import { takesNothing } from '../server/answer.ts'
import type { Answered, Equipped } from './states.ts'
import type { Ports } from './ports.ts'
import type { Tool } from '../registry/tool.ts'

/**
 * Stage 8. The only place from which anything reaches a server (I1), and it sends the broker's own serialisation of
 * what was judged (I8). A revocation or the caller's cancel aborts it; result, error, time-out and a wish for more
 * input are all answers.
 */
export async function invoke(
  ports: Pick<Ports, 'clock' | 'flow' | 'servers' | 'revocations'>,
  product: Equipped,
): Promise<Answered> {
  demand(product, 'equipped')
  const { arrival, bound, tool, lease, arguments: args } = product
  const watch = ports.revocations.watch([...callKeys(product), ...secretKeys(lease.secrets)])
  try {
    const answer = await ports.servers.invoke({
      server: tool.server,
      task: bound.task.id,
      agent: bound.task.agent,
      call: arrival.call,
      operation: arrival.wanted.operation,
      definition: tool.definition,
      digest: tool.digest,
      arguments: args,
      leg: arrival.leg,
      lease,
      signal: AbortSignal.any([arrival.signal, watch.signal]),
      progress: arrival.progress,
      takes: arrival.takes ?? takesNothing,
    })
    // What a tainted task has written by now, so that what was read of it is known for what it is.
    const sinks = vouches(tool) ? await ports.flow.sinks(ports.clock.now()) : product.known.sinks
    return seal('answered', { ...product, answer, sinks })
  } finally {
    watch.dispose()
  }
}

/** Only where a review says more for a result than what holds of every other. */
const vouches = ({ review }: Tool): boolean =>
  review !== null && (review.integrity === 'trusted' || (review.results?.fields ?? []).length > 0)

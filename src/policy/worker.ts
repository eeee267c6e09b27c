import { checkPolicies } from './check.ts'
import type { CheckRequest } from './load.ts'

/**
 * The checking process: one question, one answer. Nobody but `load.ts` starts it, and that ends it once it has the
 * answer (an exit of its own could overtake the answer); if the broker is gone, it ends with the channel.
 */
process.once('message', (request) => {
  // Asked by our own program, over a channel that nobody else has.
  const { sources, tools, servers } = request as CheckRequest
  process.send?.(checkPolicies(sources, tools, servers))
})

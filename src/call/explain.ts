import { authenticate } from './authenticate.ts'
import { bind } from './bind.ts'
import { decide } from './decide.ts'
import { isRefused, type Refused } from './refusal.ts'
import { resolve } from './resolve.ts'
import type { Arrival, Decided } from './states.ts'
import type { Ports } from './ports.ts'

/** What would happen: stages 1 to 4 through the same functions. Writes nothing, asks nobody, sends nothing. */
export async function explain(ports: Ports, arrival: Arrival): Promise<Decided | Refused> {
  const caller = await authenticate(ports, arrival)
  if (isRefused(caller)) return caller
  const bound = await bind(ports, caller)
  if (isRefused(bound)) return bound
  const resolved = resolve(ports, bound)
  if (isRefused(resolved)) return resolved
  // No call was made, so nothing is compared.
  const { policies, settings } = ports
  return decide({ policies, settings }, resolved)
}

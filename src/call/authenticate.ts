import { refuse, type Refused } from './refusal.ts'
import { seal } from './seal.ts'
import { callerKeys } from './keys.ts'
import type { Arrival, Authenticated } from './states.ts'
import type { Ports } from './ports.ts'

/** Stage 1. Who asks, on whose behalf, and how that is proven: from the credential alone, never from what the caller says. */
export async function authenticate(
  ports: Pick<Ports, 'verifier' | 'revocations' | 'clock'>,
  arrival: Arrival,
): Promise<Authenticated | Refused> {
  const verified = await ports.verifier.verify(arrival.credential, ports.clock.now())
  if (!verified.ok) {
    return refuse('unauthenticated', 'authenticate', `${verified.problem}: ${verified.detail}`, {
      hint: advice[verified.problem],
    })
  }
  const revoked = ports.revocations.first(callerKeys(verified.caller))
  if (revoked !== null) {
    return refuse('revoked', 'authenticate', `\`${revoked}\` is revoked`, { known: { caller: verified.caller } })
  }
  return seal('authenticated', { arrival, caller: verified.caller })
}

/** What may be said to someone who has proven nothing: the kind of problem, never what was expected instead. */
const advice = {
  missing: 'Send `Authorization: Bearer` with a task token.',
  malformed: 'The token is not a signed token of this broker or of a configured issuer.',
  'bad-signature': 'The signature of the token is not valid here.',
  expired: 'The token has expired; get a new one.',
  'not-yet-valid': 'The token is not valid yet; compare the clocks.',
  'wrong-audience': 'The token was made for another audience.',
  'unknown-issuer': 'The issuer of the token is not configured here.',
  'unknown-subject': 'The subject of the token is not registered here.',
} as const


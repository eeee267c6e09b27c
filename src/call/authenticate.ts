import { isRefused, refuse, type Refused } from './refusal.ts'
import { seal } from './seal.ts'
import { callerKeys } from './keys.ts'
import type { Arrival, Authenticated } from './states.ts'
import type { Caller, Credential } from '../identity/caller.ts'
import type { Ports } from './ports.ts'

type IdentityPorts = Pick<Ports, 'verifier' | 'revocations' | 'clock'>

/** Stage 1. Who asks, on whose behalf, and how that is proven: from the credential alone, never from what the caller says. */
export async function authenticate(ports: IdentityPorts, arrival: Arrival): Promise<Authenticated | Refused> {
  const caller = await identify(ports, arrival.credential)
  return isRefused(caller) ? caller : seal('authenticated', { arrival, caller })
}

/** The same check for what is no call: lists, sessions, streams. Gives no product of the path. */
export async function identify(ports: IdentityPorts, credential: Credential): Promise<Caller | Refused> {
  const verified = await ports.verifier.verify(credential, ports.clock.now())
  if (!verified.ok) {
    const reason = `${verified.problem}: ${verified.detail}`
    return refuse('unauthenticated', 'authenticate', reason, { hint: advice[verified.problem] })
  }
  const { caller } = verified
  const revoked = ports.revocations.first(callerKeys(caller))
  return revoked === null
    ? caller
    : refuse('revoked', 'authenticate', `\`${revoked}\` is revoked`, { known: { caller } })
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

import { lentSecrets } from '../credential/secret.ts'
import { plain } from './registry.ts'
import { redact } from '../flow/redact.ts'
import type { Clock } from '../lib/clock.ts'
import type { RawCatalogue } from '../server/catalogue.ts'
import type { TaskLenders } from '../credential/lender.ts'

/** A server that says a secret of its own where models and people read: nothing of the catalogue may be kept. */
export class SpokenSecret extends Error {
  override readonly name = 'SpokenSecret'
}

/**
 * Throws when a definition holds a secret that the server is lent (I5). Results are redacted on their way; a definition
 * cannot be, since what is pinned would no longer be what the server offers. So it is not taken at all: it would stand
 * in the store, in the operators' API and in every agent's list.
 */
export async function refuseSpoken(
  raw: RawCatalogue,
  { lenders, clock }: { readonly lenders: Pick<TaskLenders, 'lend' | 'closeAll'>; readonly clock: Clock },
): Promise<void> {
  const now = clock.now()
  const task = `examining ${raw.server}`
  const lease = await lenders.lend({ server: raw.server, task, call: 'listing', until: now + 1_000, now })
  if ('problem' in lease) throw new SpokenSecret(`\`${raw.server}\` cannot be examined: ${lease.detail}`)
  try {
    const lent = lentSecrets(lease)
    if (lent.length === 0) return
    const said = Object.keys(redact(plain(raw), lent).counts)
    if (said.length > 0)
      throw new SpokenSecret(`\`${raw.server}\` says \`${said.join('`, `')}\` in its definitions`)
  } finally {
    await lenders.closeAll(task)
  }
}

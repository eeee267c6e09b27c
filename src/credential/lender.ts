import type { ServerConfig } from '../config/schema.ts'
import type { Clock } from '../lib/clock.ts'
import { newId } from '../lib/id.ts'
import type { Revocations } from '../revocation/revocations.ts'
import type { SecretStore } from '../store/ports.ts'
import type { Lease, Lenders, LendProblem, Secret } from './lease.ts'
import { fill, secretsNamedIn } from './reference.ts'
import { composedOf } from './secret.ts'
import type { Named } from './secret.ts'
import type { Vault } from './vault.ts'

/** Rows that could not be closed are tried again with the next one; more than this many are left to `reclaim`. */
const maxUnclosed = 1000

/** Lenders that also end everything of a task at once, and what a dead broker left open. */
export type TaskLenders = Lenders & {
  /** Closes every lease of the task. Idempotent, never throws. */
  closeAll(task: string): Promise<void>
  /** Closes rows of incarnations that are not among `living`, and of none. Gives their number. */
  reclaim(living: readonly string[]): Promise<number>
}

/**
 * Lends what the server's own configuration names: headers of an HTTP server, the environment of a stdio server's
 * process. A secret named inside an HTTP server's `url` is lent in `environment` under the secret's name.
 */
export function createLenders(parts: {
  readonly servers: (name: string) => ServerConfig | undefined
  readonly vault: Pick<Vault, 'reveal'>
  readonly store: Pick<SecretStore, 'openLease' | 'closeLease' | 'openLeases'>
  readonly revocations: Pick<Revocations, 'first'>
  readonly clock: Clock
}): TaskLenders {
  const { servers, vault, store, revocations, clock } = parts
  const open = new Map<string, string>()
  /** What processes hold, by task and server: an answer is searched for the value that its process was started with. */
  const held = new Map<string, { readonly config: ServerConfig; readonly lease: Lease }>()
  const unclosed = new Set<string>()
  /** Rows that are being closed now: many calls end at once, and each looks after its own. */
  const closing = new Set<string>()

  async function tryClose(id: string): Promise<boolean> {
    closing.add(id)
    const closed = await store.closeLease(id, clock.now()).then(
      () => true,
      () => false,
    )
    closing.delete(id)
    if (closed) unclosed.delete(id)
    return closed
  }

  /** A row is closed in the store first and forgotten after: what fails stays known and is tried again. */
  async function closeRow(id: string): Promise<void> {
    open.delete(id)
    if (unclosed.size < maxUnclosed) unclosed.add(id)
    if (!(await tryClose(id))) return
    for (const row of unclosed) if (!closing.has(row) && !(await tryClose(row))) return
  }

  return {
    async lend({ server, task, call, until, now }) {
      const config = servers(server)
      if (config === undefined) return problem(`there is no server \`${server}\``)
      if (until <= now) return problem('the task ends before the credential could be used')
      const wanted = wantedBy(config)
      const secrets = [...new Set(wanted.flatMap((value) => secretsNamedIn(value.text)))].sort()
      const revoked = revocations.first(secrets.map((name) => `secret:${name}`))
      if (revoked !== null) return problem(`\`${revoked}\` is revoked`)
      const kept = held.get(heldBy(task, server))
      if (kept?.config === config) return kept.lease
      const values = await revealAll(vault, secrets, server)
      if ('problem' in values) return values
      const span = 'command' in config ? 'task' : 'call'
      const lease: Lease = Object.freeze({
        id: newId('l'),
        span,
        ...equip(wanted, values.named),
        secrets,
        expiresAt: until,
      })
      if (secrets.length === 0) return lease
      open.set(lease.id, task)
      try {
        await store.openLease({ id: lease.id, task, call, server, secrets, at: now, until })
      } catch (error) {
        // The row may be durable although the store could not say so.
        await closeRow(lease.id)
        throw error
      }
      if (span === 'task') held.set(heldBy(task, server), { config, lease })
      return lease
    },
    async close(lease, row) {
      if (lease.span !== 'call' || !open.has(lease.id)) return
      if (row === 'closed') open.delete(lease.id)
      else await closeRow(lease.id)
    },
    async closeAll(task) {
      for (const key of held.keys()) if (key.startsWith(`${task}\n`)) held.delete(key)
      for (const [id, owner] of open) if (owner === task) await closeRow(id)
      for (const row of await store.openLeases({ task }).catch(() => [])) await closeRow(row.id)
    },
    async reclaim(living) {
      const lives = (broker: string | null) => broker !== null && living.includes(broker)
      const orphans = (await store.openLeases()).filter((row) => !open.has(row.id) && !lives(row.broker))
      for (const row of orphans) await closeRow(row.id)
      return orphans.length
    },
  }
}

const heldBy = (task: string, server: string): string => `${task}\n${server}`

type Wanted = { readonly place: 'headers' | 'environment'; readonly name: string; readonly text: string }

function wantedBy(config: ServerConfig): readonly Wanted[] {
  const all: Wanted[] =
    'command' in config
      ? Object.entries(config.env).map(([name, text]) => ({ place: 'environment', name, text }))
      : Object.entries(config.headers).map(([name, text]) => ({ place: 'headers', name, text }))
  if ('url' in config) {
    for (const name of secretsNamedIn(config.url))
      all.push({ place: 'environment', name, text: `secret:${name}` })
  }
  return all.filter((value) => secretsNamedIn(value.text).length > 0)
}

async function revealAll(
  vault: Pick<Vault, 'reveal'>,
  names: readonly string[],
  server: string,
): Promise<{ readonly named: ReadonlyMap<string, Named> } | LendProblem> {
  const named = new Map<string, Named>()
  for (const name of names) {
    const value = await vault.reveal(name)
    if ('problem' in value) {
      return problem(`server \`${server}\`: ${value.detail}; set it with \`countersign secret set ${name}\``)
    }
    named.set(name, { name, value })
  }
  return { named }
}

function equip(
  wanted: readonly Wanted[],
  named: ReadonlyMap<string, Named>,
): Pick<Lease, 'headers' | 'environment'> {
  const equipment = { headers: new Map<string, Secret>(), environment: new Map<string, Secret>() }
  for (const { place, name, text } of wanted) {
    const parts = secretsNamedIn(text).flatMap((secret) => named.get(secret) ?? [])
    const filled = fill(text, (secret) => named.get(secret)?.value.reveal() ?? '')
    equipment[place].set(name, composedOf(filled, parts))
  }
  return {
    headers: Object.freeze(Object.fromEntries(equipment.headers)),
    environment: Object.freeze(Object.fromEntries(equipment.environment)),
  }
}

/** An HTTP server's address with the lent secrets in it. Only for the connection itself: never print it. */
export function urlWith(url: string, lease: Pick<Lease, 'environment'>): string {
  return fill(url, (name) => encodeURIComponent(lease.environment[name]?.reveal() ?? ''))
}

const problem = (detail: string): LendProblem => ({ problem: 'no-credential', detail })

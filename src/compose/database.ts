import { isIP } from 'node:net'
import { readFile } from 'node:fs/promises'
import { databaseAddress } from '../config/url.ts'
import { isLoopbackName } from '../server/destination.ts'
import { readPrivate } from '../identity/private.ts'
import type { Database } from '../store/postgres/session.ts'
import type { StoreConfig } from '../config/schema.ts'

/** Names that stand for the database on this machine: what is sent there meets no network. */
export const isLocal = (host: string): boolean => host.startsWith('/') || isLoopbackName(host)

/**
 * The connection that a configuration names. Payloads and the log cross it, so it is TLS with a checked certificate
 * wherever it leaves this machine; there is no key to turn that off. Throws what reading `ca` throws.
 */
export async function databaseOf({ postgres, passwordFile, ca }: StoreConfig): Promise<Database> {
  const address = databaseAddress(postgres)
  const password =
    passwordFile === undefined
      ? undefined
      : async () => (await readPrivate(passwordFile)).replace(/\r?\n$/, '')
  return {
    ...address,
    ...(password === undefined ? {} : { password }),
    // Without a name of its own `pg` would compare the certificate of an IP address with `localhost`.
    ssl:
      isLocal(address.host) && ca === undefined
        ? false
        : {
            rejectUnauthorized: true,
            host: address.host,
            ...(ca === undefined ? {} : { ca: await readFile(ca, 'utf8') }),
          },
  }
}

/** How the database is named to people: never with anything of the password. */
export const databaseName = ({ host, port, user, database }: Database): string =>
  `${user}@${isIP(host) === 6 ? `[${host}]` : host}${host.startsWith('/') ? '' : `:${port}`}/${database}`

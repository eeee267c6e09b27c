import { hash } from 'node:crypto'
import type { Commitment } from './entry.ts'

/** Bytes of salt before a payload. Without it, whoever guesses a short payload could prove it from the log. */
export const saltSize = 32

export const commitmentOf = (salt: Uint8Array, bytes: Uint8Array): Commitment =>
  `sha256:${hash('sha256', Buffer.concat([salt, bytes]), 'hex')}`

/** Whether these are the payload's bytes and salt that an entry commits to. A salt of another length never is. */
export const checkPayload = (commitment: Commitment, salt: Uint8Array, bytes: Uint8Array): boolean =>
  salt.length === saltSize && commitmentOf(salt, bytes) === commitment

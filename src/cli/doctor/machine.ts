import { bad, ok, said, warning, type Check } from './check.ts'
import { join } from 'node:path'
import { open, rm, stat, statfs } from 'node:fs/promises'
import { randomUUID } from 'node:crypto'
import { setTimeout as after } from 'node:timers/promises'

export function runtime(version: string = process.versions.node): Check {
  const major = Number(version.split('.')[0])
  return major >= 24
    ? ok('node', `v${version}`)
    : bad('node', `v${version}`, 'use Node 24 or later: https://nodejs.org')
}

/** What tells the time: the wall clock that tokens name, and the one that only goes forward. Milliseconds. */
export type Clocks = { readonly wall: () => number; readonly monotonic: () => number }
const clocks: Clocks = { wall: () => Date.now(), monotonic: () => performance.now() }

const lookMs = 200
/** Both clocks are read one after the other on a busy machine; a step or a slew that matters is larger. */
const drift = 50

/**
 * Tokens live for minutes: a clock that is years off makes every one of them foreign. A clock that is stepped while the
 * broker runs ends tasks and approvals early or late, so the wall clock has to go as fast as the monotonic one.
 */
export async function clock({ wall, monotonic }: Clocks = clocks): Promise<Check> {
  const from = { wall: wall(), monotonic: monotonic() }
  await after(lookMs)
  const elapsed = { wall: wall() - from.wall, monotonic: monotonic() - from.monotonic }
  const now = new Date(from.wall).toISOString()
  const hint = 'timedatectl set-ntp true'
  if (from.wall < Date.UTC(2026, 0, 1)) return bad('clock', `${now} is in the past`, hint)
  if (elapsed.monotonic <= 0)
    return bad('clock', 'the monotonic clock does not go forward', 'restart this machine')
  const apart = elapsed.wall - elapsed.monotonic
  return Math.abs(apart) <= drift
    ? ok('clock', now)
    : warning('clock', `${now}, and it was moved by ${Math.round(apart)} ms while it was looked at`, hint)
}

const gib = 2 ** 30
const leastGib = 1
const leastBytes = 100 * 2 ** 20
const leastFiles = 1000
const slowMs = 50

/** A call that cannot be recorded is not made: room, files, and how long the disk takes to say that it has written. */
export async function disk(home: string): Promise<readonly Check[]> {
  const room = await statfs(home).catch(() => null)
  if (room === null) return [warning('disk', `no folder \`${home}\` yet`, 'countersign serve')]
  const free = room.bavail * room.bsize
  const shown = `${(free / gib).toFixed(1)} GiB free`
  const hint = `a call that cannot be recorded is not made: free some room below ${home}`
  const files = room.files > 0 && room.ffree < leastFiles
  const space = files
    ? bad('disk', `${room.ffree} files can be made before it is full`, hint)
    : free < leastBytes
      ? bad('disk', shown, hint)
      : free < leastGib * gib
        ? warning('disk', shown, hint)
        : ok('disk', shown)
  return [space, await owned(home), await synced(home)]
}

async function owned(home: string): Promise<Check> {
  const found = await stat(home)
  const mode = (found.mode & 0o777).toString(8)
  if (process.platform !== 'win32' && (found.mode & 0o077) !== 0)
    return bad('home', `others can look into \`${home}\` (${mode})`, `chmod 700 ${home}`)
  const user = process.getuid?.()
  if (user !== undefined && user !== 0 && found.uid !== user)
    return bad(
      'home',
      `\`${home}\` belongs to user ${found.uid}`,
      `run as that user, or: chown ${user} ${home}`,
    )
  return ok('home', home)
}

const block = Buffer.alloc(4096)
const rounds = 5

/** An intent is on disk before the call is made, and its outcome before the answer leaves: each waits for one of these. */
async function synced(home: string): Promise<Check> {
  const path = join(home, `.doctor-${randomUUID()}`)
  try {
    const file = await open(path, 'wx', 0o600)
    try {
      const times: number[] = []
      for (let round = 0; round < rounds; round += 1) {
        const from = performance.now()
        await file.write(block, 0, block.length, 0)
        await file.datasync()
        times.push(performance.now() - from)
      }
      const middle = times.toSorted((a, b) => a - b)[Math.floor(rounds / 2)] ?? 0
      const shown = `written and synced in ${middle.toFixed(1)} ms`
      return middle <= slowMs
        ? ok('sync', shown)
        : warning('sync', shown, 'each call waits for two of these: put the home folder on a local disk')
    } finally {
      await file.close()
    }
  } catch (problem) {
    return bad(
      'sync',
      `nothing can be written to \`${home}\`: ${said(problem)}`,
      `look at its owner and its mount: ls -ld ${home}`,
    )
  } finally {
    await rm(path, { force: true }).catch(() => undefined)
  }
}

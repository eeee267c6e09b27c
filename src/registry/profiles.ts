import { constants } from 'node:fs'
import { isAbsolute } from 'node:path'
import { open, readdir } from 'node:fs/promises'
import { parseProfile, type Profile } from './profile.ts'
import type { JsonObject } from '../lib/json.ts'

/** A server's profile; null when its configuration names none. */
export type ProfileRead =
  { readonly ok: true; readonly profile: Profile | null } | { readonly ok: false; readonly problem: string }

/** Reads the profile that a server's configuration names: `NAME` of a packaged one, or an absolute path. */
export type ReadsProfiles = (config: JsonObject) => Promise<ProfileRead>

export const profileOf: ReadsProfiles = async ({ profile }) =>
  typeof profile === 'string' ? readProfile(profile) : { ok: true, profile: null }

/** What a name of a packaged profile looks like; anything else is a file. */
export const isProfileName = (name: string): boolean => /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(name)

/** Reads it anew each time: a review takes what stands there now. Never rejects. */
export async function readProfile(named: string): Promise<ProfileRead & { readonly profile?: Profile }> {
  const isName = isProfileName(named)
  if (!isName && !isAbsolute(named))
    return {
      ok: false,
      problem: `\`${named}\`: expected the name of a packaged profile or a path; see: countersign profile list`,
    }
  const text = await readBounded(isName ? packaged(`${named}.yaml`) : named)
  if (text === null)
    return {
      ok: false,
      problem: isName
        ? `there is no packaged profile \`${named}\`; see: countersign profile list`
        : `\`${named}\` cannot be read as a profile`,
    }
  const parsed = parseProfile(text)
  return parsed.ok ? parsed : { ok: false, problem: `\`${named}\`: ${parsed.problem}` }
}

/** Every profile that comes with the broker, by name. Rejects when the installation is damaged. */
export async function packagedProfiles(): Promise<readonly Profile[]> {
  const names = (await readdir(packaged(''))).filter((name) => name.endsWith('.yaml')).sort()
  return Promise.all(
    names.map(async (name) => {
      const read = await readProfile(name.replace(/\.yaml$/, ''))
      if (!read.ok || read.profile === null)
        throw new Error(
          `the packaged profile \`${name}\` is damaged: ${read.ok ? 'empty' : read.problem}; install again`,
        )
      return read.profile
    }),
  )
}

/** `profiles/` lies beside `src/` in a checkout and beside `dist/` in a package. */
const packaged = (name: string): URL => new URL(`../../profiles/${name}`, import.meta.url)

const mostBytes = 1024 * 1024

/** Null for what is missing, no plain file, or too large: a path may name a device, or a pipe that nobody writes to. */
async function readBounded(path: string | URL): Promise<string | null> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch(() => null)
  if (file === null) return null
  try {
    const found = await file.stat()
    return found.isFile() && found.size <= mostBytes ? await file.readFile('utf8') : null
  } catch {
    return null
  } finally {
    await file.close()
  }
}

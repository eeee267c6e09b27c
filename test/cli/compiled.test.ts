import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises'
import { execFile } from 'node:child_process'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { test } from 'node:test'
import { tmpdir } from 'node:os'

const main = resolve(import.meta.dirname, '../../src/cli/main.ts')

/** Runs the command line with a cache folder of its own; gives what it left there. */
async function kept(prepare: (cache: string) => Promise<void>): Promise<readonly string[]> {
  const cache = await mkdtemp(join(tmpdir(), 'countersign-compiled-'))
  try {
    await prepare(cache)
    const env = { PATH: process.env['PATH'], HOME: cache, XDG_CACHE_HOME: cache }
    await promisify(execFile)(process.execPath, [main, 'serve', '--help'], { env })
    return await readdir(join(cache, 'countersign/compiled'), { recursive: true }).catch(() => [])
  } finally {
    await rm(cache, { recursive: true, force: true })
  }
}

const compiled = (cache: string): string => join(cache, 'countersign/compiled')

test('compiled code is kept for the next start', async () => {
  assert.ok((await kept(async () => undefined)).length > 0)
})

test('nothing is kept, and nothing run, from a folder that others can write to', async () => {
  for (const open of ['countersign', 'countersign/compiled']) {
    const left = await kept(async (cache) => {
      await mkdir(compiled(cache), { recursive: true, mode: 0o700 })
      await chmod(join(cache, open), 0o777)
    })
    assert.deepEqual(left, [], open)
  }
})

test('nothing is kept behind a link', async () => {
  const left = await kept(async (cache) => {
    await mkdir(join(cache, 'elsewhere'), { mode: 0o700 })
    await mkdir(join(cache, 'countersign'), { mode: 0o700 })
    await symlink(join(cache, 'elsewhere'), compiled(cache))
  })
  assert.deepEqual(left, [])
})

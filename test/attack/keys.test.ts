import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { endings, message } from './play.ts'
import { join } from 'node:path'
import { readdir, readFile, stat } from 'node:fs/promises'
import { world, type World } from '../world.ts'

/** Default and readable secrets, as in CVE-2026-53709: every installation has its own, for its user alone. */

const ends = endings()
let w: World
before(async () => (w = ends.add(await world())))
after(() => ends.close())

test('no secret is a default: every installation makes its own keys, and nobody else may read them', async () => {
  const twin = ends.add(await world())
  assert.notEqual(twin.broker.operatorKey, w.broker.operatorKey)
  assert.equal((await stat(w.home)).mode & 0o077, 0)
  assert.equal((await stat(join(w.home, 'operator.token'))).mode & 0o077, 0)
  assert.equal(
    (await w.post(message('playground__notes_search', { words: 'a' }), { token: await twin.token() })).status,
    401,
  )
})

test('keys are readable by their user alone', async () => {
  let keys = 0
  for (const file of await readdir(w.home, { recursive: true, withFileTypes: true })) {
    const path = join(file.parentPath, file.name)
    if (!file.isFile() || path.startsWith(join(w.home, 'log'))) continue
    if (!/"d":|PRIVATE KEY/.test(await readFile(path, 'latin1'))) continue
    keys += 1
    assert.equal((await stat(path)).mode & 0o077, 0, path)
  }
  assert.ok(keys > 0)
})

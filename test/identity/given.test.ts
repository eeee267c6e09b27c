import assert from 'node:assert/strict'
import { chmod, chown, mkdir, symlink, writeFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { execFile } from 'node:child_process'
import { isOpenToOthers } from '../../src/identity/given.ts'
import { join } from 'node:path'
import { keepPrivate, readPrivate } from '../../src/identity/private.ts'
import { scratch } from './scratch.ts'

/** Keys that a machine's administrator hands over: mounted Secrets, credentials of a service. */

describe('a file that others may read', () => {
  const root = { uid: 0, gid: 0 }
  const cases = [
    ['our own, for us alone', 0o100600, { uid: 1000, gid: 1000 }, null, false],
    ['our own, for a group', 0o100640, { uid: 1000, gid: 1000 }, null, true],
    ['our own, for everybody', 0o100604, { uid: 1000, gid: 1000 }, null, true],
    ["root's, for a group, where anybody could have put it", 0o100440, root, null, true],
    ['mounted, for the group of the pod', 0o100440, { uid: 0, gid: 65532 }, 'mounted', false],
    ['mounted, for everybody', 0o100444, { uid: 0, gid: 65532 }, 'mounted', true],
    ['mounted, and the group may write', 0o100460, { uid: 0, gid: 65532 }, 'mounted', true],
    ['mounted, of another user', 0o100440, { uid: 1000, gid: 65532 }, 'mounted', true],
    ['of a service: the mask of an access list', 0o100440, root, 'kept-by-root', false],
    ['kept by root for a group of people', 0o100440, { uid: 0, gid: 100 }, 'kept-by-root', true],
  ] as const
  for (const [name, mode, owner, given, open] of cases)
    it(`${name}: ${open ? 'refused' : 'taken'}`, () => {
      assert.equal(isOpenToOthers({ mode, ...owner }, given), open)
    })
})

const isRoot = process.getuid?.() === 0
const reader = join(import.meta.dirname, '../../src/identity/private.ts')

/**
 * As a user without rights, in group 0, as a container of OpenShift runs: what is read, or why not and what to do. The
 * rights are laid down when the sources are loaded: these may lie where only root reads.
 */
const readAs = (path: string, how = 'readPrivate(path)'): Promise<string> =>
  new Promise((done) => {
    const script = `import { keepPrivate, readPrivate } from ${JSON.stringify(reader)}
      process.setgroups([0]); process.setgid(0); process.setuid(65532)
      const path = ${JSON.stringify(path)}
      ${how}.then(console.log, (problem) => console.log(problem.message, problem.hint))`
    const args = ['--input-type=module', '-e', script]
    execFile(process.execPath, args, { timeout: 20_000 }, (_, out, err) => done(out.trim() || err))
  })

describe('a folder that only root fills', { skip: !isRoot && 'needs root to act for it' }, () => {
  /** As Kubernetes lays out a Secret: each name leads through `..data` to the file of now. */
  const volume = async (): Promise<string> => {
    const base = await scratch()
    await chmod(base, 0o711)
    const folder = join(base, 'keys')
    await mkdir(join(folder, '..now'), { recursive: true })
    await writeFile(join(folder, '..now', 'key'), 'the key')
    await chmod(join(folder, '..now', 'key'), 0o440)
    await symlink('..now', join(folder, '..data'))
    await symlink('..data/key', join(folder, 'key'))
    for (const one of [folder, join(folder, '..now')]) await chmod(one, 0o755)
    return folder
  }

  it('its links are followed as long as they stay in it', async () => {
    const folder = await volume()
    assert.equal(await readAs(join(folder, 'key')), 'the key')
    await writeFile(join(folder, '../outside'), 'not a key')
    await symlink('../outside', join(folder, 'away'))
    assert.match(await readAs(join(folder, 'away')), /is a link/)
  })

  it('no link is followed where the reader itself could have made it', async () => {
    const folder = await volume()
    await chown(folder, 65_532, 0)
    assert.match(await readAs(join(folder, 'key')), /is a link/)
    // Somebody else's: not ours to write to, and not root's to vouch for.
    await chown(folder, 1000, 1000)
    assert.match(await readAs(join(folder, 'key')), /is a link/)
    await chown(folder, 0, 1000)
    await chmod(folder, 0o775)
    assert.match(await readAs(join(folder, 'key')), /is a link/)
  })
})

describe('a folder in which nothing can be made', { skip: !isRoot && 'needs root to act for it' }, () => {
  it('is told with how to make the keys', async () => {
    const folder = await scratch()
    await chmod(folder, 0o755)
    const said = await readAs(join(folder, 'log.pem'), "keepPrivate(path, () => 'x')")
    assert.match(said, /there is no `.*log\.pem`, and it cannot be made there \(EACCES\).*countersign keys /)
  })
})

describe('a key that is made once', () => {
  it('is not written when it is there', async () => {
    const path = join(await scratch(), 'keys', 'one')
    assert.equal(await keepPrivate(path, () => 'first'), 'first')
    assert.equal(await keepPrivate(path, () => assert.fail('made again')), 'first')
    assert.equal(await readPrivate(path), 'first')
  })
})

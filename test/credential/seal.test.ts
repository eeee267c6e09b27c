import assert from 'node:assert/strict'
import { chmod, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { KeyProblem, loadSealKey, sealKeyFile } from '../../src/credential/key.ts'
import { sealValue, unsealValue } from '../../src/credential/seal.ts'
import { testKey } from './fakes.ts'

let folder = ''
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-seal-'))
})
after(() => rm(folder, { recursive: true }))

test('what was sealed opens under its own name and key, and no byte of it can be changed', () => {
  const key = testKey()
  const other = testKey()
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 64 }),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      (bytes, at, flip) => {
        const sealed = sealValue(key, 'github', bytes)
        const opened = unsealValue(key, 'github', sealed)
        assert.ok(opened.ok)
        assert.deepEqual(opened.bytes, new Uint8Array(bytes))
        assert.equal(unsealValue(other, 'github', sealed).ok, false)
        const changed = Uint8Array.from(sealed)
        const place = at % changed.length
        changed[place] = (changed[place] ?? 0) ^ flip
        assert.equal(unsealValue(key, 'github', changed).ok, false)
        assert.equal(unsealValue(key, 'github', sealed.subarray(0, place)).ok, false)
      },
    ),
  )
})

test('two rows that were swapped in the store do not open', () => {
  const key = testKey()
  const production = sealValue(key, 'production', Buffer.from('real'))
  assert.equal(unsealValue(key, 'staging', production).ok, false)
})

test('the same value sealed twice gives different bytes', () => {
  const key = testKey()
  assert.notDeepEqual(sealValue(key, 'a', Buffer.from('x')), sealValue(key, 'a', Buffer.from('x')))
})

test('a key file is made once, readable by its owner alone, and found again', async () => {
  const file = sealKeyFile(join(folder, 'home', 'keys'))
  const [first, second, third] = await Promise.all([1, 2, 3].map(() => loadSealKey({ file })))
  assert.ok(first !== undefined && second !== undefined && third !== undefined)
  assert.ok(first.equals(second) && second.equals(third))
  assert.equal((await stat(file)).mode & 0o777, 0o600)
  assert.equal((await stat(join(folder, 'home', 'keys'))).mode & 0o777, 0o700)
})

test('a key file that others can read is refused with what to do', async () => {
  const file = join(folder, 'loose.key')
  await loadSealKey({ file })
  await chmod(file, 0o640)
  await assert.rejects(loadSealKey({ file }), (error: unknown) => {
    assert.ok(error instanceof KeyProblem)
    assert.match(error.message, /can be read by others/)
    assert.match(error.hint, /^chmod 600 /)
    return true
  })
})

test('a link where the key should be is not followed', async () => {
  const real = join(folder, 'real.key')
  await loadSealKey({ file: real })
  await symlink(real, join(folder, 'link.key'))
  await assert.rejects(loadSealKey({ file: join(folder, 'link.key') }), /is a link/)
})

test('a file that holds no key is refused and left as it is', async () => {
  const file = join(folder, 'short.key')
  await writeFile(file, 'AAAA\n', { mode: 0o600 })
  await assert.rejects(loadSealKey({ file }), /expected 32 bytes in base64/)
  assert.equal(await readFile(file, 'utf8'), 'AAAA\n')
})

test('a key may come from a command, which gets no shell', async () => {
  const text = Buffer.alloc(32, 7).toString('base64')
  const key = await loadSealKey({
    command: [process.execPath, '-e', 'process.stdout.write(process.argv[1])', text],
  })
  assert.deepEqual(key.export(), Buffer.alloc(32, 7))
  const shell = loadSealKey({
    command: [process.execPath, '-e', 'process.stdout.write(process.argv[1])', '$(echo x); rm'],
  })
  await assert.rejects(shell, /expected 32 bytes/)
})

test('what a failing key command printed stays out of the error', async () => {
  const script = 'process.stdout.write("marked-key");process.stderr.write("marked-key");process.exit(3)'
  await assert.rejects(loadSealKey({ command: [process.execPath, '-e', script] }), (error: unknown) => {
    assert.ok(error instanceof KeyProblem)
    assert.match(error.message, /failed \(3\)/)
    assert.ok(!`${error.message}${error.hint}${error.stack ?? ''}`.includes('marked-key'))
    return true
  })
})

test('a key command that never answers is ended', async () => {
  const command = [process.execPath, '-e', 'setInterval(() => {}, 1000)'] as const
  await assert.rejects(loadSealKey({ command, timeoutMs: 200 }), /did not answer within 200 ms/)
})

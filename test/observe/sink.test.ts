import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createSink, toDescriptor } from '../../src/observe/sink.ts'
import { join } from 'node:path'
import { mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { spawn } from 'node:child_process'
import { tmpdir } from 'node:os'

describe('lines on their way out', () => {
  it('arrive whole and in order', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'countersign-sink-'))
    const file = await open(join(folder, 'out'), 'w')
    try {
      const sink = createSink(toDescriptor(file.fd), () => assert.fail('nothing may be lost'))
      const lines = Array.from({ length: 5_000 }, (_, n) => `line ${n} ${'x'.repeat(n % 90)}\n`)
      for (const line of lines) {
        sink.write(line)
        if (line.length % 7 === 0) await new Promise(setImmediate)
      }
      await sink.flushed(30_000)
      assert.equal(await readFile(join(folder, 'out'), 'utf8'), lines.join(''))
    } finally {
      await file.close()
      await rm(folder, { recursive: true, force: true })
    }
  })

  it('of which nobody reads wait up to a limit, and cost nobody a call', async () => {
    const stuck = Promise.withResolvers<void>()
    const out: string[] = []
    let lost = 0
    const sink = createSink(
      async (text) => {
        await stuck.promise
        out.push(text)
      },
      (lines) => void (lost += lines),
    )
    const line = `${'x'.repeat(1023)}\n`
    for (let n = 0; n < 3_000; n += 1) sink.write(line)
    await sink.flushed(10)
    // The first is under way, 1,024 wait.
    assert.equal(lost, 3_000 - 1 - 1_024)
    stuck.resolve()
    await sink.flushed(30_000)
    assert.equal(out.join('').length, (1 + 1_024) * 1_024)
  })

  it('what cannot be written is counted, and the next is tried', async () => {
    let lost = 0
    const out: string[] = []
    const results = [Promise.reject(new Error('gone')), Promise.resolve()]
    const sink = createSink(
      async (text) => {
        await results.shift()
        out.push(text)
      },
      (lines) => void (lost += lines),
    )
    sink.write('one\n')
    await sink.flushed(30_000)
    sink.write('two\n')
    await sink.flushed(30_000)
    assert.deepEqual([lost, out], [1, ['two\n']])
  })

  it('a process whose pipe is full goes on', async () => {
    const code = `
      import { createSink, toDescriptor } from '${new URL('../../src/observe/sink.ts', import.meta.url).href}'
      const sink = createSink(toDescriptor(2), () => undefined)
      for (let n = 0; n < 1000; n += 1) sink.write('x'.repeat(1023) + '\\n')
      setTimeout(() => { process.stdout.write('alive'); process.exit() }, 100)`
    const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    // Nobody reads stderr.
    let said = ''
    child.stdout.on('data', (data: Buffer) => (said += data.toString()))
    await new Promise((ended) => child.once('exit', ended))
    child.stderr.destroy()
    assert.equal(said, 'alive')
  })
})

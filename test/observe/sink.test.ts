import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { linesTo } from '../../src/observe/sink.ts'
import { PassThrough } from 'node:stream'
import { spawn } from 'node:child_process'

const line = `${'x'.repeat(1023)}\n`

describe('lines of the log', () => {
  it('are written while somebody reads; those that nobody reads are bounded, and the rest is counted', () => {
    const stream = new PassThrough({ highWaterMark: 1 })
    const write = linesTo({ write: (text) => stream.write(text), unread: () => stream.writableLength })
    const kept = Array.from({ length: 3_000 }, () => write(line)).filter((written) => written).length
    assert.ok(kept > 1_000 && kept < 1_100, String(kept))
    let read = 0
    stream.on('data', (data: Buffer) => (read += data.length))
    stream.resume()
    return new Promise<void>((done) =>
      setImmediate(() => {
        assert.equal(read, kept * 1_024)
        assert.equal(write(line), true, 'whoever reads again is told again')
        done()
      }),
    )
  })

  it('hold no process up whose pipe is full', async () => {
    const code = `
      import { linesTo } from '${new URL('../../src/observe/sink.ts', import.meta.url).href}'
      const { stderr } = process
      const write = linesTo({ write: (text) => stderr.write(text), unread: () => stderr.writableLength })
      let lost = 0
      for (let n = 0; n < 5000; n += 1) if (!write('x'.repeat(1023) + '\\n')) lost += 1
      setTimeout(() => { process.stdout.write(String(lost > 3000)); process.exit() }, 50)`
    const args = ['--input-type=module', '-e', code]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    let said = ''
    child.stdout.on('data', (data: Buffer) => (said += data.toString()))
    // Nobody reads stderr.
    await new Promise((ended) => child.once('exit', ended))
    child.stderr.destroy()
    assert.equal(said, 'true')
  })
})

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createLog, type LogParts } from '../../src/observe/log.ts'
import { events, fields } from '../../src/observe/fields.ts'
import { StoreUnavailable } from '../../src/store/ports.ts'
import type { Fact } from '../../src/observe/hub.ts'

const logged = (parts: Partial<LogParts> = {}) => {
  const lines: string[] = []
  const log = createLog({
    write: (line) => void lines.push(line),
    clock: { now: () => 0 },
    level: 'info',
    broker: () => 'b_1',
    ...parts,
  })
  return { log, lines }
}

const call: Fact = {
  kind: 'call',
  at: 0,
  call: 'c_1',
  agent: 'coder',
  tool: 'files/what the agent calls it',
  registered: null,
  task: 't_1',
  trace: null,
  end: 'unknown-tool',
  refused: true,
  ms: 3,
}

describe('the structured log', () => {
  it('writes one JSON object a line, with ids to search for and no words of an agent', () => {
    const { log, lines } = logged()
    log.fact(call)
    log.fact({ ...call, refused: false, end: 'ok', registered: 'files/read', trace: '4bf9' })
    assert.deepEqual(
      lines.map((line) => {
        assert.match(line, /^[^\n]*\n$/)
        return JSON.parse(line)
      }),
      [
        {
          time: '1970-01-01T00:00:00.000Z',
          level: 'info',
          event: 'refused',
          broker: 'b_1',
          call: 'c_1',
          task: 't_1',
          agent: 'coder',
          end: 'unknown-tool',
          ms: 3,
        },
        {
          time: '1970-01-01T00:00:00.000Z',
          level: 'info',
          event: 'call',
          broker: 'b_1',
          call: 'c_1',
          task: 't_1',
          trace: '4bf9',
          agent: 'coder',
          tool: 'files/read',
          end: 'ok',
          ms: 3,
        },
      ],
    )
  })

  it('of a fault says what and where, and nothing that it says itself', () => {
    const { log, lines } = logged()
    log.fault(new StoreUnavailable('the disk of someone is full'))
    log.fault(Object.assign(new Error('connect to secret.example'), { code: 'ECONNREFUSED' }))
    log.fault('only words')
    log.fault(Object.assign(new Error('x'), { name: 'words\nof a name', code: 'a code' }))
    const said = lines.map((line) => JSON.parse(line))
    assert.deepEqual(
      said.map(({ error }) => error),
      ['StoreUnavailable', 'Error ECONNREFUSED', 'no-error', 'Error'],
    )
    for (const line of lines)
      for (const word of ['someone', 'secret', 'words']) assert.ok(!line.includes(word))
  })

  it('where: the file and line of this program, found in the stack', () => {
    const { log, lines } = logged()
    const fault = new Error('x')
    fault.stack =
      'Error: x\n    at run (/opt/x/node_modules/y/z.js:1:2)\n    at a (file:///opt/x/src/store/query.ts:12:7)'
    log.fault(fault)
    assert.equal(JSON.parse(lines[0] ?? '').at, 'store/query.ts:12')
  })

  it('a field that nobody has classified is not written, whoever asks for it', () => {
    const { log, lines } = logged()
    const more = { call: 'c_1', arguments: 'canary', toString: 'canary' }
    log.say('call', more)
    assert.deepEqual(Object.keys(JSON.parse(lines[0] ?? '')), ['time', 'level', 'event', 'broker', 'call'])
  })

  it('levels: only what is at least as grave', () => {
    const { log, lines } = logged({ level: 'error' })
    log.say('recovered', { count: 1 })
    log.fact(call)
    log.fault(new Error('x'))
    assert.deepEqual(
      lines.map((line) => JSON.parse(line).event),
      ['fault'],
    )
  })

  it('every field has a class, and every event a level', () => {
    for (const { class: kind } of Object.values(fields)) assert.ok(['public', 'internal'].includes(kind))
    for (const level of Object.values(events)) assert.ok(['debug', 'info', 'warn', 'error'].includes(level))
  })
})

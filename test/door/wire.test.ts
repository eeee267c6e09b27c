import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import {
  outcomeCodes,
  refusalCodes,
  safeCode,
  unauthorized,
  wireRefused,
  wireReleased,
  type Asked,
  type WireAnswer,
} from '../../src/door/wire.ts'
import { refusals, refuse, type RefusalCode } from '../../src/call/refusal.ts'
import type { JsonObject } from '../../src/lib/json.ts'
import type { Released } from '../../src/call/states.ts'

const asked: Asked = { method: 'tools/call', era: 'modern', call: 'c_1', uri: null, outputSchema: false }
const reading: Asked = { ...asked, method: 'resources/read', uri: 'file:///a' }
const all = Object.keys(refusals) as RefusalCode[]
const secret = 'secret-reason'
const resultOf = (wire: WireAnswer): JsonObject => {
  assert.equal(wire.kind, 'result')
  return wire.kind === 'result' ? wire.result : {}
}

describe('the catalogue of refusals', () => {
  test('is mapped whole, in both directions', () => {
    assert.deepEqual(Object.keys(refusalCodes).sort(), Object.keys(refusals).sort())
  })

  test('codes are outside what JSON-RPC and MCP keep, or MCP’s own code for the very thing; each means one thing', () => {
    const codes = [...Object.values(refusalCodes), ...Object.values(outcomeCodes)]
    const own = codes.filter((code) => code !== -32602)
    assert.equal(
      own.every((code) => code < -32768 || code > -32000),
      true,
    )
    assert.equal(new Set(own).size, own.length)
  })

  test('codes are pinned: what was published does not move', () => {
    assert.deepEqual(
      [refusalCodes.denied, refusalCodes['approval-required'], refusalCodes.fault, outcomeCodes.unknown],
      [6401, 6501, 6703, 6802],
    )
  })

  test('no refusal says its private reason, whatever the method and era', () => {
    for (const code of all) {
      for (const method of ['tools/call', 'resources/read', 'tools/list']) {
        for (const era of ['modern', 'legacy'] as const) {
          assert.doesNotMatch(
            JSON.stringify(wireRefused(refuse(code, 'decide', secret), { ...asked, method, era })),
            /secret-reason/,
          )
        }
      }
      assert.doesNotMatch(JSON.stringify(unauthorized(refuse(code, 'authenticate', secret))), /secret-reason/)
    }
  })
})

describe('a refusal on the wire', () => {
  test('a denial of a tool is a result that a model can act on', () => {
    const wire = wireRefused(refuse('denied', 'decide', secret, { hint: 'amounts above 100' }), asked)
    const result = resultOf(wire)
    assert.equal(result['isError'], true)
    assert.deepEqual(result['structuredContent'], {
      countersign: {
        code: 'denied',
        family: 'denied',
        call: 'c_1',
        next: refusals.denied.tell,
        hint: 'amounts above 100',
      },
    })
    assert.match(JSON.stringify(result['content']), /Not done \(denied\).*amounts above 100/)
  })

  test('a tool with an output schema gets no structured content that would break it', () => {
    const wire = wireRefused(refuse('denied', 'decide', secret), { ...asked, outputSchema: true })
    assert.equal(wire.kind === 'result' && 'structuredContent' in wire.result, false)
  })

  test('a denial of any other method is an error with its pinned code', () => {
    const wire = wireRefused(refuse('denied', 'decide', secret), reading)
    assert.deepEqual(
      [wire.kind, wire.kind === 'error' && wire.code, wire.kind === 'error' && wire.status],
      ['error', 6401, 200],
    )
  })

  test('only a token’s fault is 401; a revoked tool does not send the client for a new token', () => {
    const statusOf = (code: RefusalCode, stage: string) => {
      const wire = wireRefused(refuse(code, stage, secret), asked)
      return wire.kind === 'error' ? wire.status : 200
    }
    assert.equal(statusOf('unauthenticated', 'authenticate'), 401)
    assert.equal(statusOf('revoked', 'authenticate'), 401)
    assert.equal(statusOf('revoked', 'resolve'), 200)
    for (const code of all)
      if (refusals[code].family !== 'identity') assert.equal(statusOf(code, refusals[code].stage), 200)
  })

  test('401 names no metadata, and its description cannot break out of its quotes', () => {
    const { headers } = unauthorized(
      refuse('unauthenticated', 'authenticate', secret, { hint: 'a "quote"\r\nX: y' }),
    )
    assert.match(
      headers['WWW-Authenticate'] ?? '',
      /^Bearer realm="countersign", error="invalid_token", error_description="[^"\\\r\n]*"$/,
    )
    assert.doesNotMatch(headers['WWW-Authenticate'] ?? '', /resource_metadata/)
  })

  test('an unknown resource is -32602 with its URI, and -32002 in older revisions', () => {
    const codeOf = (era: 'modern' | 'legacy') => {
      const wire = wireRefused(refuse('unknown-tool', 'resolve', secret), { ...reading, era })
      return wire.kind === 'error' ? [wire.code, wire.data?.['uri']] : []
    }
    assert.deepEqual(codeOf('modern'), [-32602, 'file:///a'])
    assert.deepEqual(codeOf('legacy'), [-32002, 'file:///a'])
  })

  test('what waits says how to go on', () => {
    const wire = wireRefused(
      refuse('approval-required', 'approve', secret, { ask: { id: 'a_1', expiresAt: 0 } }),
      asked,
    )
    assert.match(JSON.stringify(wire), /countersign_resume.*c_1/)
    assert.doesNotMatch(JSON.stringify(wire), /a_1/)
  })
})

describe('an outcome on the wire', () => {
  const answers: readonly Exclude<Released, { kind: 'input' | 'result' | 'error' }>[] = [
    { kind: 'not-sent', problem: 'unreachable', detail: secret },
    { kind: 'unknown', problem: 'timeout', detail: secret },
    { kind: 'withheld', problem: 'revoked', detail: secret },
  ]

  test('says honestly whether the call may have been carried out, and not why inside', () => {
    const [notSent, unknown, withheld] = answers.map((answer) =>
      JSON.stringify(wireReleased({ answer, call: 'c_1' }, asked)),
    )
    assert.match(notSent ?? '', /Nothing was sent/)
    assert.match(unknown ?? '', /may or may not have been carried out/)
    assert.match(withheld ?? '', /The call was made, but its answer is withheld/)
    for (const words of [notSent, unknown, withheld]) assert.doesNotMatch(words ?? '', /secret-reason/)
  })

  test('a server cannot write our `_meta`, nor pose as an unfinished call', () => {
    const wire = wireReleased(
      {
        answer: {
          kind: 'result',
          result: {
            content: [],
            resultType: 'input_required',
            _meta: { 'countersign/call': 'c_forged' },
            isError: false,
          },
          isError: true,
        },
        call: 'c_1',
      },
      asked,
    )
    assert.deepEqual(wire, {
      kind: 'result',
      result: { content: [], isError: true, _meta: { 'countersign/call': 'c_1' } },
    })
  })

  test('a server’s code is relayed only where it means the same to the client', () => {
    const pairs = [-32021, -32042, -32020, -32022, -32700, -32600, -32000, 6401].map((code) =>
      safeCode(code, 'modern'),
    )
    assert.deepEqual(new Set(pairs), new Set([-32603]))
    assert.deepEqual(
      [
        safeCode(-32002, 'modern'),
        safeCode(-32002, 'legacy'),
        safeCode(-32602, 'modern'),
        safeCode(17, 'modern'),
      ],
      [-32602, -32002, -32602, 17],
    )
  })

  test('no server can speak with a code of ours or one that MCP reserves (property)', () => {
    const ours = new Set<number>(
      [...Object.values(refusalCodes), ...Object.values(outcomeCodes)].filter((code) => code > 0),
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.double(),
          fc.integer({ min: -33_000, max: -31_000 }),
          fc.integer({ min: 5_000, max: 8_000 }),
        ),
        (code) => {
          const safe = safeCode(code, 'modern')
          assert.equal(ours.has(safe), false)
          assert.equal(safe >= -32768 && safe <= -32000 && ![-32601, -32602, -32603].includes(safe), false)
        },
      ),
    )
  })
})

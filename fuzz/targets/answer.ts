import { answerOf } from '../../src/server/result.ts'
import { canonical } from '../../src/lib/jcs.ts'
import { classify } from '../../src/flow/classify.ts'
import { readEvents } from '../../src/server/sse.ts'
import { readMessage } from '../../src/server/rpc.ts'
import { redactAnswer } from '../../src/flow/redact.ts'
import { callKey, refusalKey, safeCode, wireReleased } from '../../src/door/wire.ts'
import { secretOf } from '../../src/credential/secret.ts'
import { showResult } from '../../src/door/mcp/name.ts'
import { splitLines } from '../../src/server/lines.ts'
import { bytes, hold, type Input, type Target } from '../target.ts'
import type { Era } from '../../src/registry/tool.ts'
import type { JsonObject } from '../../src/lib/json.ts'
import { inputKinds, type Operation, type ServerAnswer } from '../../src/server/answer.ts'

const canary = 'cs-canary-Zq81-xYw7'

/** What servers send back: lines of stdio, events of streams, messages, results; up to the bytes that an agent gets. */
export async function open(): Promise<Target> {
  return { atOnce: 1, json: true, most: 4096, words, seeds: seeds.map(bytes), run }
}

const limit = 4096

function run(input: Input): void {
  const events = eventsIn(input, [input.length])
  const lines = linesIn(input, [input.length])
  // However the network cuts it, the same is read.
  for (const cuts of input.length > 512 ? [[7, 1, 16]] : [[1], [2, 3]]) {
    hold(same(eventsIn(input, cuts), events), 'events do not depend on how they were cut', () => cuts.join())
    hold(same(linesIn(input, cuts), lines), 'lines do not depend on how they were cut', () => cuts.join())
  }
  hold(same(events.found, referenceEvents(input)) || events.broken, 'events are those of the specification')
  for (const message of [input, ...events.found, ...lines.found].slice(0, 20)) readOne(message)
}

type Cut = { readonly found: readonly Buffer[]; readonly broken: boolean }

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)

function* pieces(input: Input, cuts: readonly number[]): Generator<Buffer> {
  for (let at = 0, turn = 0; at < input.length; turn++) {
    const size = Math.max(1, cuts[turn % cuts.length] ?? 1)
    yield Buffer.from(input.subarray(at, at + size))
    at += size
  }
}

function eventsIn(input: Input, cuts: readonly number[]): Cut {
  const found: Buffer[] = []
  const stream = readEvents(limit, { onData: (data) => void found.push(Buffer.from(data)) })
  for (const piece of pieces(input, cuts)) if (!stream.push(piece)) return { found: [], broken: true }
  return { found, broken: false }
}

function linesIn(input: Input, cuts: readonly number[]): Cut {
  const found: Buffer[] = []
  let broken = false
  const lines = splitLines({
    limit,
    onLine: (line) => void found.push(Buffer.from(line)),
    onOverflow: () => {
      broken = true
    },
  })
  for (const piece of pieces(input, cuts)) lines.push(piece)
  return { found, broken }
}

/** WHATWG HTML, "Interpreting an event stream", written down once more and slowly. */
function referenceEvents(input: Input): readonly Buffer[] {
  const whole = Buffer.from(input)
    .toString('latin1')
    .replace(/^\xef\xbb\xbf/, '')
  const found: Buffer[] = []
  const ended = whole.split(/\r\n|\r|\n/).slice(0, -1)
  let data: string[] = []
  let type = ''
  for (const line of ended) {
    const [, name = '', value = ''] = /^([^:]*):? ?([^]*)$/.exec(line) ?? []
    if (line === '') {
      if (data.length > 0 && (type === '' || type === 'message'))
        found.push(Buffer.from(data.join('\n'), 'latin1'))
      data = []
      type = ''
    } else if (name === 'data') data.push(line.includes(':') ? value : '')
    else if (name === 'event') type = line.includes(':') ? value : ''
  }
  return found
}

function readOne(message: Input): void {
  const read = readMessage(message, 1024 * 1024)
  if (read.kind !== 'result' && read.kind !== 'error') return
  for (const era of ['modern', 'legacy'] as const)
    for (const operation of ['call', 'read', 'get', 'complete'] as const)
      handOut(
        answerOf(read, { operation, era, inputs: ['form', 'url'], passedOn: inputKinds }),
        operation,
        era,
      )
}

/** What the path makes of an answer, to the agent's bytes. */
function handOut(answer: ServerAnswer, operation: Operation, era: Era): void {
  canonical({ ...answer })
  const { value: body } = redactAnswer(answer, [{ name: 'token', value: secretOf(canary) }])
  classify(body, { id: 'files/read_file', review: null })
  if (body.kind === 'input') return
  const asked = { method: methods[operation], era, call: 'c_0', uri: null, outputSchema: false }
  const wire = wireReleased({ answer: body, call: 'c_0' }, asked)
  const shown = wire.kind === 'result' ? showResult({ kind: 'all' }, 'files', wire.result) : wire
  const out = JSON.stringify(shown)
  hold(!out.includes(canary), 'a lent secret does not leave')
  hold(out.isWellFormed(), 'what leaves is well-formed text')
  if (wire.kind === 'result') {
    const meta = Object.keys(wire.result['_meta'] ?? {})
    const ours = body.kind === 'result' ? [callKey] : [callKey, refusalKey]
    hold(meta.join() === ours.join(), '`_meta` is made anew', () => meta.join())
    hold(!('resultType' in wire.result), "`resultType` is the broker's to write")
  } else {
    hold(wire.code === safeCode(wire.code, era) || wire.code >= 6000, 'no server speaks with a code of ours')
  }
}

const methods: { readonly [operation in Operation]: string } = {
  call: 'tools/call',
  read: 'resources/read',
  get: 'prompts/get',
  complete: 'completion/complete',
  subscribe: 'resources/subscribe',
}

const words = ['data: ', 'event: message\n', 'event: x\n', 'id: 1\n', ': comment\n', '\n\n', '\r\n\r\n', '\r\r', 'retry: 5\n', '\xef\xbb\xbf', 'jsonrpc', '2.0', 'id', 'result', 'error', 'code', 'message', 'method', 'params', 'content', 'structuredContent', 'isError', 'resultType', 'input_required', 'complete', 'inputRequests', 'requestState', 'elicitation/create', 'sampling/createMessage', '_meta', 'ttlMs', 'cacheScope', 'contents', 'uri', 'blob', 'messages', 'completion', 'values', 'resource_link', 'resource', 'text', canary, 'countersign/call', '-32002', '6101', 'notifications/progress'] // prettier-ignore

const message = (result: JsonObject): string => JSON.stringify({ jsonrpc: '2.0', id: 1, result })
const seeds = [
  message({ content: [{ type: 'text', text: `token ${canary}` }, { type: 'resource', resource: { uri: 'file:///a', blob: Buffer.from(canary).toString('base64') } }, { type: 'resource_link', uri: 'file:///b' }], structuredContent: { [canary]: [canary] }, isError: true, _meta: { 'countersign/call': 'x' }, resultType: 'complete' }),
  message({ contents: [{ uri: 'file:///a', text: 'x' }], ttlMs: 5, cacheScope: 'public' }),
  message({ messages: [{ role: 'user', content: { type: 'resource_link', uri: 'x:y' } }] }),
  message({ completion: { values: ['a'], total: 1 } }),
  message({ resultType: 'input_required', inputRequests: { a: { method: 'elicitation/create', params: { message: 'm', requestedSchema: {} } } }, requestState: 's' }),
  JSON.stringify({ jsonrpc: '2.0', id: null, error: { code: -32002, message: canary, data: [canary] } }),
  `event: message\ndata: ${message({})}\n\n: keep\r\nevent: x\ndata: y\n\ndata: {"jsonrpc":"2.0",\ndata: "id":1,"result":{}}\r\n\r\n`,
  `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":2}}\r\n${message({ content: [] })}\n`,
] // prettier-ignore

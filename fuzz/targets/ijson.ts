import fc from 'fast-check'
import { canonical } from '../../src/lib/jcs.ts'
import { findAll } from '../twice.ts'
import { isDeepStrictEqual } from 'node:util'
import { isUtf8 } from 'node:buffer'
import { parseIJson } from '../../src/lib/ijson.ts'
import { bytes, hold, text, type Input, type Target } from '../target.ts'
import type { Json } from '../../src/lib/json.ts'

/** Why our reader may refuse what `JSON.parse` takes; anything else is a text that we fail to read. */
const stricter =
  /^expected (at most|valid UTF-8|text without|a number that a double|an integer within|fewer members|each name once)/

/** The strict reader against the engine's own, and the writer against the reader. */
export async function open(): Promise<Target> {
  return {
    atOnce: 1,
    words: ['"__proto__":', '\\ud800', '\\uFFFF', '1e400', '-0', '9007199254740993', '1E21', 'true', 'null', '\ufeff', '\\u005f\\u005fproto__'],
    seeds: [
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"b":[1,2.5,-0,1e3]}}}',
      '[[],{},"",null,true,false,{"a":{"a":{"a":[]}}}]',
      '{"a":"\\u0000\\ud83d\\ude00\\n\\/\\"","\\u0061b":2}',
      '{"__proto__":{"x":1},"constructor":1}',
    ].map(bytes),
    fresh: fc.json({ maxDepth: 6 }).map(bytes),
    run,
  } // prettier-ignore
}

function run(input: Input): void {
  const parsed = parseIJson(input)
  const lenient = read(text(input))
  if (!parsed.ok) {
    hold(parsed.at >= 0 && parsed.at <= input.length, 'a problem lies inside the text')
    const refusedAlone = lenient !== undefined && isUtf8(input)
    hold(!refusedAlone || stricter.test(parsed.problem), 'what JSON.parse reads is refused for a reason', () => parsed.problem)
    return
  } // prettier-ignore
  hold(lenient !== undefined, 'what is accepted is JSON to the engine, too')
  hold(isDeepStrictEqual(plain(parsed.value), plain(lenient)), 'both readers read the same')
  hold(findAll(text(input)).length === 0, 'no name stands twice in what is accepted')
  const written = canonical(parsed.value)
  const again = parseIJson(written)
  hold(again.ok && canonical(again.value) === written, 'canonical text reads back to itself')
  hold(onlyPlain(parsed.value), 'no value has another prototype than plain ones')
}

function read(words: string): unknown {
  try {
    return JSON.parse(words)
  } catch {
    return undefined
  }
}

/** -0 is 0, as it is written. */
const plain = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value), (_, inner: unknown) => (inner === 0 ? 0 : inner))

function onlyPlain(root: Json): boolean {
  const rest: Json[] = [root]
  for (let at = rest.pop(); at !== undefined; at = rest.pop()) {
    if (typeof at !== 'object' || at === null) continue
    const prototype: unknown = Object.getPrototypeOf(at)
    if (prototype !== (Array.isArray(at) ? Array.prototype : Object.prototype)) return false
    rest.push(...Object.values(at))
  }
  return true
}

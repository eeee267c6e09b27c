import * as store from '../../src/store/verbs/fsck.ts'
import { isJsonObject, type JsonObject } from '../../src/lib/json.ts'
import type { Intended } from './truth.ts'
import type { Verb } from '../../src/store/query.ts'

/** The intents of the log, in order, each with the key of the arguments that it commits to. For `Engine.view`. */
export function* readIntents(): Verb<readonly Intended[]> {
  const intents: Intended[] = []
  for (let page = yield* store.entries(0); page.length > 0; page = yield* store.entries(behind(page))) {
    for (const { bytes, made } of page) {
      const entry: unknown = JSON.parse(Buffer.from(bytes).toString())
      if (!isJsonObject(entry) || entry['kind'] !== 'intent') continue
      const [payload] = yield* store.payloads([String(entry['arguments'])])
      intents.push({
        call: String(entry['call']),
        key: keyIn(payload?.bytes),
        tool: isJsonObject(entry['what']) ? String(entry['what']['tool']) : '',
        task: String(entry['task']),
        outcome: made?.outcome ?? null,
      })
    }
  }
  return intents
}

const behind = (page: readonly { readonly index: number }[]): number => (page.at(-1)?.index ?? 0) + 1

function keyIn(bytes: Uint8Array | undefined): string {
  const args: unknown = bytes === undefined ? null : JSON.parse(Buffer.from(bytes).toString())
  const own: JsonObject = isJsonObject(args) ? args : {}
  return typeof own['key'] === 'string' ? own['key'] : ''
}

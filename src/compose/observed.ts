import { isJsonObject, type JsonObject } from '../lib/json.ts'
import { effects as allEffects, type Effect } from '../registry/tool.ts'
import { parseIJson } from '../lib/ijson.ts'
import type { LogStore } from '../store/ports.ts'
import type { Observed } from '../policy/suggest.ts'

/** So many of the newest entries are looked at, and so many payloads read at once. */
const mostEntries = 5000
const page = 500
const atOnce = 50

/** What the log says of one call; its arguments lie beside the log. */
type Logged = Omit<Observed, 'arguments'> & { readonly commitment: string }

/**
 * The newest calls and refusals of the log in the form that `suggest` takes, oldest first. A call whose arguments were
 * erased is left out: nothing can be learnt of where it went. So is one that nobody answered, and a later leg of a chain.
 */
export async function observedCalls(log: Pick<LogStore, 'recent' | 'payload'>): Promise<readonly Observed[]> {
  const logged = await newest(log)
  const observed: Observed[] = []
  for (let from = 0; from < logged.length; from += atOnce) {
    const some = logged.slice(from, from + atOnce)
    const read = await Promise.all(some.map(({ commitment }) => argumentsOf(log, commitment)))
    for (const [i, { commitment: _, ...call }] of some.entries()) {
      const args = read[i] ?? null
      if (args !== null) observed.push({ ...call, arguments: args })
    }
  }
  return observed.toReversed()
}

async function newest(log: Pick<LogStore, 'recent'>): Promise<readonly Logged[]> {
  const found: Logged[] = []
  let before: number | undefined
  for (let seen = 0; seen < mostEntries;) {
    const entries = await log.recent({ limit: page, ...(before === undefined ? {} : { before }) })
    for (const { bytes } of entries) {
      const parsed = parseIJson(bytes)
      const call = parsed.ok && isJsonObject(parsed.value) ? loggedCall(parsed.value) : null
      if (call !== null) found.push(call)
    }
    const last = entries.at(-1)
    if (last === undefined || entries.length < page) break
    seen += entries.length
    before = last.index
  }
  return found
}

/** An intent was allowed, with or without a person; a refusal by policy or by a person was not. Others say nothing. */
function loggedCall(entry: JsonObject): Logged | null {
  const { kind, who, what, task, at, arguments: commitment } = entry
  const decision = decisionOf(entry)
  if ((kind !== 'intent' && kind !== 'refused') || decision === null) return null
  if (!isJsonObject(who) || !isJsonObject(what) || typeof commitment !== 'string') return null
  const { tool, effects } = what
  if (typeof tool !== 'string' || typeof at !== 'string') return null
  return {
    tool,
    effects: Array.isArray(effects) ? allEffects.filter((effect: Effect) => effects.includes(effect)) : [],
    agent: String(who['name']),
    task: String(task),
    at: Date.parse(at),
    decision,
    commitment,
  }
}

function decisionOf(entry: JsonObject): Observed['decision'] | null {
  if (entry['kind'] === 'intent') {
    if (entry['call'] !== entry['chain']) return null
    return entry['approval'] === null ? 'allow' : 'ask'
  }
  return ['denied', 'flow-forbidden', 'approval-refused'].includes(String(entry['code'])) ? 'deny' : null
}

async function argumentsOf(log: Pick<LogStore, 'payload'>, commitment: string): Promise<JsonObject | null> {
  const payload = await log.payload(commitment)
  if (payload === null) return null
  const parsed = parseIJson(payload.bytes)
  return parsed.ok && isJsonObject(parsed.value) ? parsed.value : null
}

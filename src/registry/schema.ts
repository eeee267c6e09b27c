import { brief, exceeds, pointer } from './bounds.ts'
import { createHash } from 'node:crypto'
import { canonical } from '../lib/jcs.ts'
import { evaluate } from './evaluate.ts'
import { isJsonObject } from '../lib/json.ts'
import { schemaLimits, vet } from './vet.ts'
import type { Json, JsonObject } from '../lib/json.ts'
import type { Run } from './evaluate.ts'
import type { Seen } from './seen.ts'
import type { Vetted } from './vet.ts'

/*
 * Why an interpreter of our own and not a validator that compiles: the usual libraries turn a schema into program text
 * and run it. The schema is a stranger's, the process holds every credential, and a mistake in one escape of one
 * keyword would be code execution in the broker (the contract of the port says: never runs code from the schema).
 * Compilation of a hostile schema is also unbounded in time, which would have to be fenced off in a worker. Evaluating
 * directly costs microseconds on arguments of usual size, has one place where work is counted (`fuel`), and gives the
 * annotations that the strict rule below needs. What it leaves out (`format`, content keywords) are annotations in
 * 2020-12; what it does not know (dynamic references, nested ids) is refused by `vet`, never skipped. The tests
 * compare it with an established validator over generated schemas and values.
 */

export type Fits = { readonly ok: true } | { readonly ok: false; readonly problems: readonly string[] }

/** Steps of evaluation: 0.3 s at worst, 1.5 s where the schema's patterns are as bad as can be, microseconds for usual arguments. */
const fuel = 200_000
const argumentLimits = { depth: 64, nodes: 100_000, chars: 16 * 1024 * 1024 } as const
const maxProblems = 10

export type Schemas = {
  /**
   * Checks arguments against a schema. Beyond JSON Schema, arguments that no schema names are refused, at any depth
   * (incident 4: a side channel is an argument nobody reviewed), unless the schema says otherwise with
   * `additionalProperties` or names nothing at all. At most 10 problems, in words, without the values.
   */
  check(schema: JsonObject, args: JsonObject): Fits
}

/** Vetted schemas are kept by digest, the least recently used go first. */
export function createSchemas(options: { readonly capacity?: number } = {}): Schemas {
  const capacity = options.capacity ?? 512
  const known = new Map<string, ReturnType<typeof vet>>()
  // The same object is the same schema: pinned definitions are never changed in place. Saves the digest per call.
  const keys = new WeakMap<JsonObject, string>()
  const keyOf = (schema: JsonObject): string => {
    const key = keys.get(schema) ?? createHash('sha256').update(canonical(schema)).digest('base64')
    keys.set(schema, key)
    return key
  }
  const prepare = (schema: JsonObject): ReturnType<typeof vet> => {
    if (!keys.has(schema) && exceeds(schema, schemaLimits) !== null) return vet(schema)
    const key = keyOf(schema)
    const vetted = known.get(key) ?? vet(schema)
    known.delete(key)
    known.set(key, vetted)
    const oldest = known.size > capacity ? known.keys().next().value : undefined
    if (oldest !== undefined) known.delete(oldest)
    return vetted
  }
  return {
    check(schema, args) {
      const prepared = prepare(schema)
      if (!prepared.ok)
        return { ok: false, problems: [`${prepared.problem}; an operator has to deal with it`] }
      return checkVetted(prepared.vetted, args)
    },
  }
}

/** Checks arguments against a schema that was vetted before. */
export function checkVetted(vetted: Vetted, args: JsonObject): Fits {
  const large = exceeds(args, argumentLimits)
  if (large !== null) return { ok: false, problems: [`the arguments have ${large}`] }
  const run: Run = { vetted, fuel, problems: [] }
  const seen = evaluate(run, vetted.root, args, { at: '', loud: true })
  if (run.fuel < 0)
    return {
      ok: false,
      problems: ['the arguments take too long to check against the schema; send less at once'],
    }
  if (seen === null)
    return {
      ok: false,
      problems: run.problems.length > 0 ? run.problems : ['the arguments do not fit the schema'],
    }
  const unnamed: string[] = []
  collectUnnamed(seen, args, '', unnamed)
  return unnamed.length === 0 ? { ok: true } : { ok: false, problems: unnamed }
}

/** Members that no schema evaluated, where some schema names members. */
function collectUnnamed(seen: Seen, value: Json, at: string, unnamed: string[]): void {
  if (typeof value !== 'object' || value === null || unnamed.length >= maxProblems) return
  for (const [name, inner] of Object.entries(value)) {
    const child = seen.children.get(name)
    if (child !== undefined) collectUnnamed(child, inner, pointer(at, name), unnamed)
    if (!isJsonObject(value) || !seen.names || seen.properties.has(name) || unnamed.length >= maxProblems)
      continue
    unnamed.push(`\`${brief(pointer(at, name), 120)}\`: the tool names no such argument; leave it out`)
  }
}

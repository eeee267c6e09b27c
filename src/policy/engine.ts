import { randomUUID } from 'node:crypto'
import { preparsePolicySet, statefulIsAuthorized } from '@cedar-policy/cedar-wasm/nodejs'
import type { PolicyJson } from '@cedar-policy/cedar-wasm/nodejs'
import type { EngineRequest } from './request.ts'

/** Policies as the engine takes them, by id. The engine knows a set by the object itself: never change one. */
export type PolicySetOf = { readonly policies: { readonly [id: string]: PolicyJson } }

export type Evaluation = {
  readonly allowed: boolean
  /** Ids of the determining policies, sorted (the engine's own order varies). */
  readonly policies: readonly string[]
  /** In words, without any value of the request. */
  readonly errors: readonly string[]
}

export type Engine = {
  /** Throws when the engine itself fails; callers deny. */
  evaluate(set: PolicySetOf, request: EngineRequest): Evaluation
}

const maxKey = 4096

/**
 * The Cedar engine behind two bounded stores. The engine keeps what it has parsed for ever, so sets live in numbered
 * slots that are used again. Evaluation is a pure function of set and request, so answers are remembered by exactly
 * those: a hit is what the engine would say, never a guess. Answers with errors are not kept.
 */
export function createEngine(limits: { readonly slots?: number; readonly answers?: number } = {}): Engine {
  const slots = createSlots(limits.slots ?? 512)
  const answers = createAnswers(limits.answers ?? 4096)

  function evaluate(set: PolicySetOf, request: EngineRequest): Evaluation {
    const key = JSON.stringify(request)
    const kept = key.length > maxKey ? undefined : answers.get(set, key)
    if (kept !== undefined) return kept
    const answer = statefulIsAuthorized({ ...request, preparsedPolicySetId: slots.nameOf(set) })
    if (answer.type === 'failure') throw new Error('the policy engine did not accept the request')
    const { decision, diagnostics } = answer.response
    const errors = diagnostics.errors.map(
      ({ policyId, error }) => `policy \`${policyId}\` ${sayError(error.message)}`,
    )
    const evaluation = {
      allowed: decision === 'allow',
      policies: diagnostics.reason.toSorted(),
      errors: errors.toSorted(),
    }
    if (errors.length === 0 && key.length <= maxKey) answers.put(set, key, evaluation)
    return evaluation
  }

  return { evaluate }
}

/** The engine's messages can hold values of arguments, and errors are logged: only the sort of error is kept. */
const sayError = (message: string): string =>
  /overflow/.test(message) ? 'calculated beyond 64 bits' : 'could not be evaluated'

/** Slots of the engine's own store, taken over in turn: the oldest set makes room and is parsed again if it returns. */
function createSlots(limit: number): { nameOf(set: PolicySetOf): string } {
  const engine = randomUUID()
  const owners: (PolicySetOf | undefined)[] = []
  const taken = new WeakMap<PolicySetOf, number>()
  let next = 0
  return {
    nameOf(set) {
      const mine = taken.get(set)
      if (mine !== undefined && owners[mine] === set) return `${engine}:${mine}`
      const slot = next
      next = (next + 1) % limit
      // Until the new set is in, the slot is nobody's: a failure here must not leave the old set under a new owner.
      owners[slot] = undefined
      const parsed = preparsePolicySet(`${engine}:${slot}`, { staticPolicies: { ...set.policies } })
      if (parsed.type === 'failure')
        throw new Error('the policy engine did not take a policy set that it had validated')
      owners[slot] = set
      taken.set(set, slot)
      return `${engine}:${slot}`
    },
  }
}

type Answers = {
  get(set: PolicySetOf, key: string): Evaluation | undefined
  put(set: PolicySetOf, key: string, value: Evaluation): void
}

/** Two generations: when the young one is full it becomes the old one, and what is asked again moves up. */
function createAnswers(limit: number): Answers {
  let young = new WeakMap<PolicySetOf, Map<string, Evaluation>>()
  let old = young
  let size = 0
  function put(set: PolicySetOf, key: string, value: Evaluation): void {
    if (++size > limit) {
      old = young
      young = new WeakMap()
      size = 1
    }
    const mine = young.get(set) ?? new Map<string, Evaluation>()
    young.set(set, mine)
    mine.set(key, value)
  }
  function get(set: PolicySetOf, key: string): Evaluation | undefined {
    const fresh = young.get(set)?.get(key)
    if (fresh !== undefined || young === old) return fresh
    const before = old.get(set)?.get(key)
    if (before !== undefined) put(set, key, before)
    return before
  }
  return { get, put }
}

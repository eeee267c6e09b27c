import type { ChangeInput, ChangeName, ChangeResult } from './changes.ts'

/** What a node tells the others after a change: a hint to look, never the change itself. */
export type News =
  /** Registry, policies or revocations have moved. */
  | { readonly kind: 'heads' }
  | { readonly kind: 'ask'; readonly id: string }
  | { readonly kind: 'answer'; readonly id: string }
  /** Empty when there are too many to name: look. */
  | { readonly kind: 'tasks-closed'; readonly ids: readonly string[] }
  /** The line was down: whatever happened meanwhile was not told. */
  | { readonly kind: 'missed' }

/** A notification carries 8,000 bytes at most. */
const mostIds = 64

/** Pure: what the others should hear of a change that was made. */
export function newsOf<Name extends ChangeName>(
  name: Name,
  input: ChangeInput<Name>,
  result: ChangeResult<Name>,
): News | null {
  const [aggregate] = name.split('.')
  if (aggregate === 'registry' || aggregate === 'policies' || aggregate === 'revocations')
    return { kind: 'heads' }
  return told({ name, input, result } as Told)
}

type Told = {
  [Name in ChangeName]: {
    readonly name: Name
    readonly input: ChangeInput<Name>
    readonly result: ChangeResult<Name>
  }
}[ChangeName]

function told(change: Told): News | null {
  switch (change.name) {
    case 'approvals.ask':
      return change.result.ok ? { kind: 'ask', id: change.result.ask.id } : null
    case 'approvals.answer':
      return change.result.ok ? { kind: 'answer', id: change.input.id } : null
    case 'tasks.close':
      return change.result.length === 0
        ? null
        : { kind: 'tasks-closed', ids: change.result.length > mostIds ? [] : change.result }
    default:
      return null
  }
}

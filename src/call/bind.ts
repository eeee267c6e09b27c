import { changes } from '../task/context.ts'
import { ended } from '../task/expire.ts'
import { callerKeys, taskKeys } from './keys.ts'
import { demand, seal } from './seal.ts'
import { refuse, type Refused } from './refusal.ts'
import type { Authenticated, Bound } from './states.ts'
import type { Budget, Task, TaskSnapshot, Usage } from '../task/task.ts'
import type { Ports } from './ports.ts'

/**
 * Stage 2. Binds the call to exactly one open task, with its labels, history and budget as of now. Run again whenever
 * `intend` finds that they have moved, so it compares revocations too: the heads that it notes are what `intend` insists on.
 */
export async function bind(
  ports: Pick<Ports, 'catchUp' | 'clock' | 'flow' | 'revocations' | 'settings' | 'tasks'>,
  product: Authenticated,
): Promise<Bound | Refused> {
  demand(product, 'authenticated')
  const { arrival, caller } = product
  const now = ports.clock.now()
  const who = { caller, task: caller.task }
  const bound = await ports.tasks.snapshot(caller.task, now)

  // A token that names somebody else's task is told the same as one that names none.
  if (bound === null || bound.task.agent !== caller.name) {
    return refuse('no-task', 'bind', `no task \`${caller.task}\` of \`${caller.name}\``, { known: who })
  }
  // Another node may have changed what this and the next stages read from memory.
  await ports.catchUp(bound.heads)
  const revoked = ports.revocations.first([...callerKeys(caller), ...taskKeys(bound)])
  if (revoked !== null) return refuse('revoked', 'bind', `\`${revoked}\` is revoked`, { known: who })

  const ended = whyEnded(bound, now)
  if (ended !== null) return refuse('task-closed', 'bind', ended, { known: who })

  const changed = changes(bound.task.context, ports.settings.context())
  if (changed.length > 0)
    return refuse(
      'context-changed',
      'bind',
      `\`${changed.join('`, `')}\` is not what the task was opened under`,
      {
        known: who,
      },
    )

  // A later leg takes no budget: `intend` knows whether it is one, and has it pay if it is not.
  const spent = arrival.leg === null ? spentBudget(bound) : null
  if (spent !== null) return refuse('budget-spent', 'bind', spent, { known: who })

  return seal('bound', { arrival, caller, bound, known: await ports.flow.known(bound, now), now })
}

/** Pure. Null while the task and every ancestor go on at `now`; idleness is the task's own. */
function whyEnded({ task, ancestors, lastCallAt }: TaskSnapshot, now: number): string | null {
  const own = ended(task, lastCallAt, now)
  if (own !== null) return `\`${task.id}\` is ${own}${task.closedBecause ? `: ${task.closedBecause}` : ''}`
  const above = ancestors.find((ancestor) => ended({ ...ancestor, idleMs: 0 }, lastCallAt, now) !== null)
  return above ? `its ancestor \`${above.id}\` has ended` : null
}

function spentBudget(bound: TaskSnapshot): string | null {
  const pairs: readonly (readonly [Task, Usage])[] = [
    [bound.task, bound.usage],
    ...bound.ancestors.map((ancestor, i) => [ancestor, bound.ancestorUsage[i] ?? bound.usage] as const),
  ]
  for (const [task, usage] of pairs) {
    if (callsLeft(task.budget, usage) <= 0)
      return `\`${task.id}\` has made all of its ${task.budget.calls} calls`
  }
  return null
}

const callsLeft = (budget: Budget, usage: Usage): number =>
  budget.calls === undefined ? Infinity : budget.calls - usage.calls

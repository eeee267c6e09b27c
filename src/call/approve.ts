import { approvalDigest } from '../approval/digest.ts'
import { demand, seal } from './seal.ts'
import { factsOf } from '../approval/facts.ts'
import { judge } from './decide.ts'
import { newId } from '../lib/id.ts'
import { refuse, type Refused } from './refusal.ts'
import type { ApprovalUse, Approved, Decided } from './states.ts'
import type { JsonObject } from '../lib/json.ts'
import type { Ask } from '../approval/ask.ts'
import type { Ports } from './ports.ts'

type ApprovalPorts = Pick<Ports, 'approvals' | 'calls' | 'clock' | 'settings'>

/**
 * Stage 5. An approval is an input to the decision, not a way past it: the answers recorded for this very digest go
 * through the same judge again. The path never waits; without an answer it refuses with the ask that a door can hold.
 */
export async function approve(ports: ApprovalPorts, product: Decided): Promise<Approved | Refused> {
  demand(product, 'decided')
  if (product.judgement.decision === 'allow') return seal('approved', { ...product, approval: null })

  const digest = digestOf(product)
  const ask = await findAsk(ports, product, digest)
  if (ask === null || isOver(ask, product)) return openAsk(ports, product, digest)

  switch (ask.state) {
    case 'refused':
      return refuse('approval-refused', 'approve', `\`${ask.id}\` was refused`, {
        ask: open(ask),
        known: knownOf(product),
      })
    case 'expired':
      return refuse('approval-expired', 'approve', `\`${ask.id}\` expired`, {
        ask: open(ask),
        known: knownOf(product),
      })
    case 'pending':
      return refuse('approval-required', 'approve', `\`${ask.id}\` waits for a person`, {
        ask: open(ask),
        known: knownOf(product),
      })
    case 'approved':
    case 'consumed':
      return useApproval(ports, product, ask)
  }
}

/** A consumed ask counts for later legs of the chain that consumed it, and for nothing else. */
async function findAsk(ports: ApprovalPorts, product: Decided, digest: string): Promise<Ask | null> {
  const { leg } = product.arrival
  if (leg === null || !leg.ask) return ports.approvals.find(digest, ports.clock.now())
  const consumed = await ports.approvals.get(leg.ask)
  return consumed !== null && consumed.state === 'consumed' && consumed.digest === digest ? consumed : null
}

/**
 * The same call made anew may ask again once the old question has run out; the call that opened it is told how it
 * ended. A refusal holds until then, so that a refused agent cannot ask a person over and over.
 */
const isOver = (ask: Ask, { arrival, now }: Decided): boolean =>
  (ask.state === 'expired' || ask.state === 'refused') && now >= ask.expiresAt && ask.call !== arrival.call

function useApproval(ports: ApprovalPorts, product: Decided, ask: Ask): Approved | Refused {
  const facts = factsOf(ask)
  if (facts === null)
    return refuse('denied', 'approve', `\`${ask.id}\` holds no approval`, { known: knownOf(product) })
  const judgement = judge(product.policy, product, ports.settings.environment, facts)
  if (judgement.decision !== 'allow') {
    return refuse(
      'denied',
      'approve',
      `approved as \`${ask.id}\`, but policy now says ${judgement.decision}`,
      { known: knownOf(product) },
    )
  }
  const approval: ApprovalUse = {
    ask: ask.id,
    digest: ask.digest,
    answers: ask.answers,
    requirement: ask.requirement,
    facts,
  }
  return seal('approved', { ...product, judgement, approval })
}

/** The question is durable before anyone is told of it, and so is the call that `countersign_resume` runs again. */
async function openAsk(ports: ApprovalPorts, product: Decided, digest: string): Promise<Refused> {
  const { arrival, caller, bound, tool, judgement, policy } = product
  const now = ports.clock.now()
  const expiresAt = Math.min(now + ports.settings.askMs, bound.task.expiresAt)
  const opened = await ports.approvals.ask({
    id: newId('a'),
    digest,
    call: arrival.call,
    task: bound.task.id,
    agent: caller.name,
    owner: bound.task.owner,
    tool: tool.id,
    toolDigest: tool.digest,
    policy: policy.version,
    requirement: judgement.requirement ?? { count: 1, independent: true, proof: 'passkey' },
    because: judgement.because,
    arguments: asked(product),
    askedAt: now,
    expiresAt,
    state: 'pending',
    answers: [],
  })
  if (!opened.ok)
    return refuse('too-many-asks', 'approve', `\`${caller.name}\` has too many asks open`, {
      known: knownOf(product),
    })
  const { ask } = opened
  await ports.calls.hold({
    call: arrival.call,
    task: bound.task.id,
    agent: caller.name,
    wanted: arrival.wanted,
    arguments: product.arguments,
    ask: ask.id,
    expiresAt: ask.expiresAt,
  })
  return refuse('approval-required', 'approve', `\`${ask.id}\` was opened`, {
    ask: open(ask),
    known: knownOf(product),
  })
}

/** What the person is asked about: a leg that asks anew shows what the agent sent back, too. */
const asked = ({ arrival, arguments: args }: Decided): JsonObject =>
  arrival.leg === null || arrival.leg.ask ? args : { arguments: args, inputResponses: arrival.leg.inputResponses }

const digestOf = (product: Decided): string => {
  const { tool, bound, caller, policy } = product
  return approvalDigest({
    tool: tool.id,
    toolDigest: tool.digest,
    arguments: asked(product),
    task: bound.task.id,
    agent: caller.name,
    policy: policy.version,
  })
}
const open = (ask: Ask): Refused['ask'] => ({ id: ask.id, expiresAt: ask.expiresAt })

const knownOf = ({ arrival, caller, bound, tool, arguments: args, policy, judgement }: Decided) => ({
  caller,
  task: bound.task.id,
  tool,
  operation: arrival.wanted.operation,
  arguments: args,
  policy: policy.version,
  policies: judgement.policies,
})

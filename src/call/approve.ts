import { approvalDigest } from '../approval/digest.ts'
import { demand, seal } from './seal.ts'
import { factsOf } from '../approval/facts.ts'
import { judge } from './judge.ts'
import { knownOf } from './decide.ts'
import { newId } from '../lib/id.ts'
import { refuse, type Refused, type RefusalCode } from './refusal.ts'
import type { ApprovalUse, Approved, Decided } from './states.ts'
import { isJsonObject, type JsonObject } from '../lib/json.ts'
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

  const digest = digestOf(product, asked(product))
  const ask = (await askOfChain(ports, product)) ?? (await ports.approvals.find(digest, ports.clock.now()))
  if (ask === null || isOver(ask, product)) return openAsk(ports, product, digest)

  switch (ask.state) {
    case 'refused':
      return waitOrEnd('approval-refused', product, ask)
    case 'expired':
      return waitOrEnd('approval-expired', product, ask)
    case 'pending':
      // An equal call of another id waits on the same question, and is told that it is kept: so it is.
      if (ask.call !== product.arrival.call) await hold(ports, product, ask)
      return waitOrEnd('approval-required', product, ask)
    case 'approved':
    case 'consumed':
      return useApproval(ports, product, ask)
  }
}

/**
 * An ask that the chain consumed at its first leg covers later legs that add nothing (a declined or cancelled question).
 * A leg that sends content back is another call than the person saw, so it asks anew, as does a chain that has no ask
 * or whose policy is another by now; that approval is looked for like any other.
 */
async function askOfChain(ports: ApprovalPorts, product: Decided): Promise<Ask | null> {
  if (addsContent(product.arrival.leg?.inputResponses ?? {})) return null
  const ask = product.arrival.leg?.ask ? await ports.approvals.get(product.arrival.leg.ask) : null
  return ask?.state === 'consumed' && ask.digest === digestOf(product, product.arguments) ? ask : null
}

const addsContent = (responses: JsonObject): boolean =>
  Object.values(responses).some(
    (response) =>
      !isJsonObject(response) ||
      'content' in response ||
      (response['action'] !== 'decline' && response['action'] !== 'cancel'),
  )

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
    const reason = `approved as \`${ask.id}\`, but policy now says ${judgement.decision}`
    return refuse('denied', 'approve', reason, { known: knownOf(product) })
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
  await hold(ports, product, opened.ask)
  return waitOrEnd('approval-required', product, opened.ask)
}

const hold = ({ calls }: ApprovalPorts, { arrival, ...product }: Decided, ask: Ask): Promise<void> =>
  calls.hold({
    call: arrival.call,
    task: ask.task,
    agent: ask.agent,
    wanted: arrival.wanted,
    arguments: product.arguments,
    ask: ask.id,
    expiresAt: ask.expiresAt,
  })

/** What the person is asked about: for a later leg that is what the agent sends back, too. */
const asked = ({ arrival, arguments: args }: Decided): JsonObject =>
  arrival.leg === null ? args : { arguments: args, inputResponses: arrival.leg.inputResponses }

const digestOf = ({ tool, bound, caller, policy }: Decided, args: JsonObject): string =>
  approvalDigest({
    tool: tool.id,
    toolDigest: tool.digest,
    arguments: args,
    task: bound.task.id,
    agent: caller.name,
    policy: policy.version,
  })

function waitOrEnd(code: RefusalCode, product: Decided, { id, state, expiresAt }: Ask): Refused {
  return refuse(code, 'approve', `\`${id}\` is ${state}`, { ask: { id, expiresAt }, known: knownOf(product) })
}

import { digestOf, openState, sealState, type Bearings, type RequestState, type Sealer } from '../state.ts'
import { isOwn, noSuchCall, ownHeld, readCallId, stateOf, status } from './own.ts'
import { isAtLeast } from '../../server/log.ts'
import { isRefused, type Refused } from '../../call/refusal.ts'
import { newId } from '../../lib/id.ts'
import { inputsOf, readEarlyResponses, readInputResponses } from './input.ts'
import { badParams, type CallMethod, type Rejection } from './protocol.ts'
import { readTarget, type Target } from './target.ts'
import { showResult, type Endpoint } from './name.ts'
import { subjectOf, taskOf } from './identity.ts'
import { wireOutcome, wireRefused, wireReleased, type Asked, type WireAnswer } from '../wire.ts'
import type { Arrival, Leg, Settled } from '../../call/states.ts'
import type { Caller, Credential } from '../../identity/caller.ts'
import type { DoorPorts } from './ports.ts'
import type { Hold } from '../hold.ts'
import { isJsonObject, type JsonObject } from '../../lib/json.ts'
import type { Reply } from './reply.ts'
import type { LogLevel, ServerAnswer } from '../../server/answer.ts'
import type { Task } from '../../task/task.ts'

/** One request that is a call, with everything that answering it takes. */
export type Calling = {
  readonly ports: DoorPorts
  readonly hold: Hold
  readonly sealer: Sealer
  readonly endpoint: Endpoint
  readonly method: CallMethod
  readonly params: JsonObject
  readonly credential: Credential
  readonly caller: Caller
  readonly era: 'modern' | 'legacy'
  /** As the client declared them. */
  readonly capabilities: JsonObject
  /** Log lines of servers that the client wants. */
  readonly log: LogLevel | null
  readonly reply: Reply
  readonly signal: AbortSignal
  readonly closing: AbortSignal
  /** How an era asks its client for more: by an answer, or by a request of ours and another leg. */
  readonly input: (calling: Calling, need: Need) => Promise<NextStep>
}

/** A leg whose server needs more before it goes on. */
export type Need = {
  readonly leg: RunLeg
  readonly asked: Extract<ServerAnswer, { kind: 'input' }>
  /** The ask that the chain consumed. */
  readonly ask: string | null
}

/** One leg of a chain, about to run. */
export type RunLeg = {
  readonly call: string
  readonly chain: string
  readonly target: Target
  readonly leg: Leg | null
  /** Legs that were held for a person, and rounds in which the server asked for more. */
  readonly held: number
  readonly round: number
}

export type NextStep =
  { readonly kind: 'answer'; readonly answer: WireAnswer } | { readonly kind: 'leg'; readonly leg: RunLeg }

/** Makes one call, leg after leg, and answers it. */
export async function makeCall(calling: Calling): Promise<void> {
  let step: NextStep = await begin(calling)
  while (step.kind === 'leg') {
    const next = await runLeg(calling, step.leg)
    if (next === null) return
    step = next
  }
  calling.reply.answer(step.answer)
}

/** Null when the caller has gone: there is nobody to answer. */
async function runLeg(calling: Calling, leg: RunLeg): Promise<NextStep | null> {
  const { hold, reply, ports } = calling
  const held = await hold.run(arrivalOf(calling, leg), {
    forMs: ports.settings.holdMs,
    closing: calling.closing,
    waiting: () => reply.waiting(),
    everyMs: ports.settings.recheckMs,
  })
  if (held.kind === 'gone') return null
  if (held.kind === 'waiting') return answered(waitOn(calling, leg, held.refused))
  const { result } = held
  if (isRefused(result)) return answered(wireRefused(result, askedOf(calling, leg)))
  // Settled: labels and outcome are durable, so what the server logged on the way may leave now (I3).
  tellLog(calling, result.answer)
  if (result.answer.kind === 'input')
    return calling.input(calling, { leg, asked: result.answer, ask: result.ask })
  return answered(released(calling, leg, result, result.answer))
}

/** To whoever asked for it, and no line less severe than that, whatever the server sends. */
function tellLog({ log: least, reply }: Calling, answer: Settled['answer']): void {
  if (least === null || !('log' in answer)) return
  for (const line of answer.log ?? []) if (isAtLeast(line.level, least)) reply.log(line)
}

const answered = (answer: WireAnswer): NextStep => ({ kind: 'answer', answer })

export function arrivalOf(
  calling: Pick<Calling, 'ports' | 'credential' | 'signal' | 'reply' | 'capabilities' | 'log'>,
  leg: RunLeg,
): Arrival {
  return {
    call: leg.call,
    chain: leg.chain,
    door: 'mcp',
    credential: calling.credential,
    wanted: leg.target.wanted,
    arguments: leg.target.arguments,
    leg: leg.leg,
    signal: calling.signal,
    progress: (progress) => calling.reply.progress(progress),
    takes: { inputs: inputsOf(calling.capabilities, calling.ports.settings.inputs), log: calling.log },
  }
}

export function askedOf(
  { ports, method, era }: Pick<Calling, 'ports' | 'method' | 'era'>,
  leg: Pick<RunLeg, 'call' | 'target'>,
): Asked {
  const tool = method === 'tools/call' ? ports.registry.find(leg.target.wanted) : null
  return {
    method,
    era,
    call: leg.call,
    uri: method === 'resources/read' ? leg.target.shown : null,
    outputSchema: (tool?.pinned ?? tool?.definition)?.outputSchema !== undefined,
  }
}

function released(
  calling: Calling,
  leg: RunLeg,
  settled: Settled,
  answer: Exclude<Settled['answer'], { kind: 'input' }>,
): WireAnswer {
  const wire = wireReleased({ answer, call: settled.call }, askedOf(calling, leg))
  if (wire.kind === 'error') return wire
  return { kind: 'result', result: showResult(calling.endpoint, leg.target.wanted.server, wire.result) }
}

/** A leg has passed and nobody has answered: a modern client comes back with our state, as often as `legs` says. */
function waitOn(calling: Calling, leg: RunLeg, refused: Refused): WireAnswer {
  const { ports, era, method } = calling
  const held = leg.held + 1
  const canReturn = era === 'modern' && method !== 'completion/complete' && refused.ask !== null
  if (!canReturn || held >= ports.settings.legs) return wireRefused(refused, askedOf(calling, leg))
  const state: RequestState = {
    kind: 'approval',
    call: leg.call,
    chain: leg.chain,
    leg: held,
    input:
      leg.leg === null
        ? null
        : {
            requestState: leg.leg.requestState,
            inputResponses: leg.leg.inputResponses,
            ask: leg.leg.ask ?? null,
            round: leg.round,
          },
  }
  // A little longer than the ask: the path tells better than an expired state how it ended.
  const expiresAt = (refused.ask?.expiresAt ?? ports.clock.now()) + 60_000
  return inputRequired(calling, state, expiresAt, {})
}

/** The answer that makes a client come back with the state and what was asked. */
export function inputRequired(
  calling: Calling,
  state: RequestState,
  expiresAt: number,
  inputRequests: JsonObject,
): WireAnswer {
  return {
    kind: 'result',
    result: {
      resultType: 'input_required',
      ...(Object.keys(inputRequests).length === 0 ? {} : { inputRequests }),
      requestState: sealState(calling.sealer, state, { ...bearingsOf(calling), expiresAt }),
    },
  }
}

/** Endpoint, method and all that the client wrote, but for what each round brings. */
function bearingsOf({
  caller,
  endpoint,
  method,
  params,
}: Pick<Calling, 'caller' | 'endpoint' | 'method' | 'params'>): Bearings {
  const { _meta, inputResponses, requestState, ...request } = params
  void [_meta, inputResponses, requestState]
  return {
    subject: subjectOf(caller),
    task: caller.task,
    request: digestOf({ endpoint: { ...endpoint }, method, request }),
  }
}

/** Reads what is wanted, opens a state that came back, and says which leg of which chain this is. */
async function begin(calling: Calling): Promise<NextStep> {
  const { method, params, endpoint, ports } = calling
  if (method === 'tools/call' && typeof params['name'] === 'string' && isOwn(params['name']))
    return beginOwn(calling, params['name'])
  const read = readTarget(endpoint, method, params)
  if (!read.ok) return rejected(read.rejection)
  const opened = stateOfRequest(calling)
  if ('rejection' in opened) return rejected(opened.rejection)
  if (opened.state === null) {
    const early = earlyOf(calling)
    if (!early.ok) return rejected(badParams(early.problem))
    const call = newId('c')
    return { kind: 'leg', leg: { call, chain: call, target: read.target, leg: early.leg, held: 0, round: 0 } }
  }
  const made = opened.state.kind === 'approval' && (await isMade(ports, opened.state.call))
  return made ? alreadyMade(calling, opened.state) : continued(calling, opened.state, read.target)
}

function stateOfRequest(
  calling: Calling,
): { readonly state: RequestState | null } | { readonly rejection: Rejection } {
  const { requestState } = calling.params
  if (requestState === undefined || calling.era === 'legacy') return { state: null }
  if (typeof requestState !== 'string')
    return { rejection: badParams('expected `params.requestState` to be the text of the last answer') }
  const opened = openState(calling.sealer, requestState, bearingsOf(calling), calling.ports.clock.now())
  return opened.ok ? { state: opened.state } : { rejection: badParams(opened.problem) }
}

type Early =
  { readonly ok: true; readonly leg: Leg | null } | { readonly ok: false; readonly problem: string }

/** The first call of a chain, with answers that nobody asked for yet: not free, as no call stands before it. */
function earlyOf({ params, era }: Calling): Early {
  const { inputResponses } = params
  if (inputResponses === undefined || era === 'legacy') return { ok: true, leg: null }
  const read = readEarlyResponses(inputResponses)
  return read.ok ? { ok: true, leg: { requestState: null, inputResponses: read.responses, ask: null } } : read
}

function continued(calling: Calling, state: RequestState, target: Target): NextStep {
  switch (state.kind) {
    case 'approval': {
      const { call, chain, leg: held, input } = state
      const leg =
        input === null
          ? null
          : { requestState: input.requestState, inputResponses: input.inputResponses, ask: input.ask }
      return { kind: 'leg', leg: { call, chain, target, leg, held, round: input?.round ?? 0 } }
    }
    case 'input': {
      const responses = readInputResponses(calling.params['inputResponses'], state.asked)
      if (!responses.ok) return rejected(badParams(responses.problem))
      const leg = { requestState: state.upstream, inputResponses: responses.responses, ask: state.ask }
      return {
        kind: 'leg',
        leg: { call: state.next, chain: state.chain, target, leg, held: 0, round: state.round },
      }
    }
  }
}

/** `intend` takes a call id once; asking a person for a call that was made would waste the answer. */
async function isMade(ports: DoorPorts, call: string): Promise<boolean> {
  const held = await ports.calls.held(call)
  return held !== null && (await ports.approvals.get(held.ask))?.state === 'consumed'
}

const alreadyMade = (calling: Calling, { call }: { readonly call: string }): NextStep => ({
  kind: 'answer',
  answer: wireOutcome(
    'made-before',
    {
      text: 'This call was approved and has been made already.',
      next: 'It is not made twice; make a new call if another one is needed.',
    },
    { method: calling.method, era: calling.era, call, uri: null, outputSchema: false },
  ),
})

async function beginOwn(
  calling: Calling,
  name: 'countersign_resume' | 'countersign_status',
): Promise<NextStep> {
  const { ports, caller, params } = calling
  const task = await taskOf(ports, caller)
  const given = params['arguments'] ?? {}
  const asked: Asked = { method: 'tools/call', era: calling.era, call: '', uri: null, outputSchema: false }
  if (isRefused(task)) return { kind: 'answer', answer: wireRefused(task, asked) }
  if (!isJsonObject(given)) return rejected(badParams('expected `params.arguments` to be an object'))
  if (name === 'countersign_status')
    return {
      kind: 'answer',
      answer: { kind: 'result', result: await status(ports, { caller, task }, given) },
    }
  const read = readCallId(given)
  if ('problem' in read || read.call === null)
    return rejected(
      badParams(
        'problem' in read ? read.problem : 'expected the argument `call`: the id of the call that waits',
      ),
    )
  return resume(calling, task, read.call)
}

/** Runs a kept call again under its own id. It must be of this task's agent; others are told that there is none. */
async function resume(calling: Calling, task: Task, id: string): Promise<NextStep> {
  const { ports, caller } = calling
  const held = await ownHeld(ports, { caller, task }, id)
  if (held === null) {
    const asked: Asked = { method: 'tools/call', era: calling.era, call: id, uri: null, outputSchema: false }
    return {
      kind: 'answer',
      answer: wireOutcome('call-unknown', { text: 'Not done.', next: noSuchCall }, asked),
    }
  }
  const ask = await ports.approvals.get(held.ask)
  if (stateOf(ask, ports.clock.now()) === 'consumed') return alreadyMade(calling, held)
  const { operation } = held.wanted
  if (operation !== 'call')
    return rejected(
      badParams(`expected a call of a tool; \`${id}\` is another request: send that one again instead`),
    )
  const target: Target = {
    wanted: { server: held.wanted.server, operation, name: held.wanted.name },
    arguments: held.arguments,
    shown: id,
  }
  const opened = stateOfRequest(calling)
  if ('rejection' in opened) return rejected(opened.rejection)
  if (opened.state !== null) return continued(calling, opened.state, target)
  return { kind: 'leg', leg: { call: held.call, chain: held.call, target, leg: null, held: 0, round: 0 } }
}

const rejected = (rejection: Rejection): NextStep => ({ kind: 'answer', answer: rejectionAnswer(rejection) })

/** An error of the protocol, as it is answered. */
export const rejectionAnswer = ({ status: http, code, message, data }: Rejection): WireAnswer => ({
  kind: 'error',
  status: http,
  code,
  message,
  data: data ?? null,
  headers: {},
})

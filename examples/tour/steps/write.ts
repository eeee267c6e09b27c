import { answerPath, asking, atTerminal, expectRefused, linesOf, type Came, type Calling } from '../acts.ts'
import {
  at,
  entryOf,
  expect,
  expectEntries,
  kindOf,
  list,
  text,
  type Beat,
  type Logged,
  type Step,
} from '../step.ts'
import { existsSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import { join } from 'node:path'
import { OperatorFailure } from '../../../src/cli/client.ts'
import type { AgentName, Scene } from '../scene.ts'

type Tell = (beat: Beat) => void
type Asked = Awaited<ReturnType<typeof asking>>

/** A write asks a person. An approval is for one call: not for other arguments, and not for the same call again. */
export const writeStep: Step = {
  name: 'write',
  title: 'A write that asks, runs once, and whose approval covers nothing else',
  async play(scene, tell) {
    await folder(scene, tell)
    await payment(scene, tell)
  },
}

async function folder(scene: Scene, tell: Tell): Promise<void> {
  const path = join(scene.project, 'release')
  const calling = { tool: 'filesystem__create_directory', arguments: { path } }
  const asked = await asking(scene, 'coder', calling)
  expect(!existsSync(path), 'nothing to be written before a person has answered')
  await tellWaiting(scene, tell, {
    asked,
    did: '`coder` makes a folder. A person has to look at it first; the call waits. What the person reads:',
  })

  const { ask } = asked
  const pressed = await atTerminal(scene, answerPath(ask), { answer: 'approve', digest: ask.digest })
  expect(pressed.status === 200, 'the key press to be taken', pressed)
  const came = await asked.answered
  expect(!came.isError && existsSync(path), 'the folder to be made', came)
  await tellApproved(scene, tell, {
    asked,
    came,
    proof: 'terminal',
    did: 'presses `y` in the terminal that runs the broker.',
  })

  await refuseNext(scene, tell, {
    agent: 'coder',
    calling,
    unlike: [asked],
    did: '`coder` makes the same call again. The approval is used up: it asks anew, and the operator refuses.',
  })
}

/** What cannot be taken back takes more than a key press. */
async function payment(scene: Scene, tell: Tell): Promise<void> {
  const paid = () => scene.playground.data.payments.length
  const calling = (amount: number): Calling => ({
    tool: 'playground__payment_send',
    arguments: { recipient: 'GB82WEST12345698765432', amount, reference: 'invoice 1041' },
  })
  const asked = await asking(scene, 'clerk', calling(120))
  const opened = await tellWaiting(scene, tell, {
    asked,
    did: '`clerk`, over HTTP in a task of its own, pays 120.',
  })
  expect(
    opened.some((one) => kindOf(one) === 'act:task-opened'),
    'a task of its own for `clerk`',
    opened,
  )

  const { ask } = asked
  const body = { answer: 'approve', digest: ask.digest }
  const pressed = await atTerminal(scene, answerPath(ask), body)
  expect(pressed.status === 403, 'a key press not to be enough for a payment', pressed)
  const withKey = await scene.operators.send('POST', answerPath(ask), body).then(
    () => '',
    (problem: unknown) => (problem instanceof OperatorFailure ? `${problem.message}; ${problem.hint}` : ''),
  )
  expect(withKey !== '' && paid() === 0, 'nobody to approve with the key that programs can read', withKey)
  tell({
    who: 'person',
    did: 'The operator presses `y`; then a program of the same user tries with the key that it finds in the broker’s folder.',
    came: [pressed.said, withKey],
    entries: await scene.log.fresh(),
  })

  await scene.operators.send('POST', answerPath(ask), { ...body, reason: 'invoice seen' }, { passphrase: scene.passphrase }) // prettier-ignore
  const came = await asked.answered
  expect(!came.isError && paid() === 1, 'the payment to be made once', { came, paid: paid() })
  await tellApproved(scene, tell, {
    asked,
    came,
    proof: 'passphrase',
    did: 'approves through the operators’ API, with the passphrase.',
  })

  const other = await refuseNext(scene, tell, {
    agent: 'clerk',
    calling: calling(130),
    unlike: [asked],
    did: '`clerk` pays 130 to the same account. The approval was for 120: it asks anew, and the operator refuses.',
  })
  await refuseNext(scene, tell, {
    agent: 'clerk',
    calling: calling(120),
    unlike: [asked, other],
    did: '`clerk` pays the 120 again, to the letter. The approval is used up: it asks anew, and is refused.',
  })
  const { payments } = scene.playground.data
  const [only] = payments
  const asApproved = isDeepStrictEqual(only, calling(120).arguments)
  expect(
    payments.length === 1 && asApproved,
    'one payment in all, with the arguments that were approved',
    payments,
  )
}

async function tellWaiting(
  scene: Scene,
  tell: Tell,
  { asked, did }: { readonly asked: Asked; readonly did: string },
): Promise<readonly Logged[]> {
  const entries = await scene.log.until('refused:approval-required')
  expect(
    entryOf(entries, 'refused:approval-required').entry['ask'] === asked.ask.id,
    'the ask in the log',
    entries,
  )
  tell({ who: 'agent', did, came: asked.ask.lines, entries })
  return entries
}

async function tellApproved(
  scene: Scene,
  tell: Tell,
  given: { readonly asked: Asked; readonly came: Came; readonly proof: string; readonly did: string },
): Promise<void> {
  const { asked, came } = given
  const entries = await scene.log.fresh()
  expectEntries(entries, ['act:ask-approved', 'intent', 'outcome:ok'])
  const { entry } = entryOf(entries, 'intent')
  expect(text(entry, 'approval', 'ask') === asked.ask.id, 'the intent to name the ask', entry)
  expect(text(entry, 'approval', 'digest') === asked.ask.digest, 'the approval of exactly this call', entry)
  const [answer] = list(entry, 'approval', 'answers')
  expect(
    at(answer, 'proof') === given.proof && at(answer, 'by') === 'operator',
    `the proof to be ${given.proof}`,
    answer,
  )
  const [act, ...made] = entries
  tell({ who: 'person', did: `The operator ${given.did}`, came: [], entries: act === undefined ? [] : [act] })
  tell({
    who: 'agent',
    did: 'The call that waited is made, and its answer comes.',
    came: linesOf(came),
    entries: made,
  })
}

/** The next call asks anew, and a person refuses it. Refusing takes authority away, so the key is enough. */
async function refuseNext(
  scene: Scene,
  tell: Tell,
  given: {
    readonly agent: AgentName
    readonly calling: Calling
    readonly unlike: readonly Asked[]
    readonly did: string
  },
): Promise<Asked> {
  const asked = await asking(scene, given.agent, given.calling)
  const known = given.unlike.map(({ ask }) => ask.id)
  expect(!known.includes(asked.ask.id), 'a new question', asked.ask.id)
  // The question is there a moment before the entry that says so; what a fast person answers must not come between.
  const opened = await scene.log.until('refused:approval-required')
  const { digest } = asked.ask
  const said = 'asked for once'
  await scene.operators.send('POST', answerPath(asked.ask), { answer: 'refuse', digest, reason: said })
  const came = await asked.answered
  expectRefused(came, 'approval-refused')
  const entries = [...opened, ...(await scene.log.fresh())]
  expectEntries(entries, ['refused:approval-required', 'act:ask-refused', 'refused:approval-refused'])
  tell({ who: 'agent', did: given.did, came: linesOf(came), entries })
  return asked
}

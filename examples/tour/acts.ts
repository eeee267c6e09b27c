import { ProtocolError, SdkHttpError, type Client } from '@modelcontextprotocol/client'
import { at, expect, list, text } from './step.ts'
import { setTimeout as sleep } from 'node:timers/promises'
import type { AgentName, Scene } from './scene.ts'

/** What came back to the agent, as its model sees it. */
export type Came = {
  readonly call: string
  /** Null for an answer of the tool. */
  readonly refusal: string | null
  readonly isError: boolean
  readonly text: string
}

export type Calling = {
  readonly tool: string
  readonly arguments: { readonly [name: string]: unknown }
  readonly progress?: (count: number) => void
}

/** A call with the SDK's own client. A refusal is an answer; what is neither is thrown. */
export async function call(client: Client, { tool, arguments: args, progress }: Calling): Promise<Came> {
  try {
    const result = await client.callTool(
      { name: tool, arguments: { ...args } },
      progress === undefined ? {} : { onprogress: (one) => progress(one.progress) },
    )
    const refusal = text(result._meta, 'countersign/refusal', 'code')
    const said = list(result, 'content').map((one) => text(one, 'text'))
    return {
      call: text(result._meta, 'countersign/call'),
      refusal: refusal === '' ? null : refusal,
      isError: result.isError === true,
      text: said.join('\n'),
    }
  } catch (problem) {
    return refusedBy(problem)
  }
}

/** An unknown tool is a protocol error, a token that is worth nothing any more an HTTP status. */
function refusedBy(problem: unknown): Came {
  const error =
    problem instanceof ProtocolError
      ? { message: problem.message, data: problem.data }
      : problem instanceof SdkHttpError
        ? at(parsed(at(problem.data, 'text')), 'error')
        : null
  const said = at(error, 'data', 'countersign')
  const refusal = text(said, 'code')
  if (refusal === '') throw problem
  return { call: text(said, 'call'), refusal, isError: true, text: text(error, 'message') }
}

function parsed(body: unknown): unknown {
  try {
    return typeof body === 'string' ? JSON.parse(body) : null
  } catch {
    return null
  }
}

/** What the agent's model reads, line by line. */
export const linesOf = (came: Came): readonly string[] => came.text.trimEnd().split('\n')

export function expectRefused(came: Came, code: string): void {
  expect(came.refusal === code && came.isError, `the call to be refused as \`${code}\``, came)
}

/** A question to a person, as the operators' API shows it. */
export type Ask = {
  readonly id: string
  readonly call: string
  readonly digest: string
  readonly proof: string
  /** What the person reads. */
  readonly lines: readonly string[]
}

/** A call that has to ask: its question, and the answer that the agent waits for. */
export async function asking(
  scene: Scene,
  agent: AgentName,
  calling: Calling,
): Promise<{ readonly ask: Ask; readonly answered: Promise<Came> }> {
  const { answered, ask } = await firstOf(scene, agent, calling)
  if (ask === null) expect(false, `\`${calling.tool}\` to ask a person first`, await answered)
  return { ask, answered }
}

/** A call that nobody may be asked about. */
export async function unasked(scene: Scene, agent: AgentName, calling: Calling): Promise<Came> {
  const { answered, ask } = await firstOf(scene, agent, calling)
  expect(ask === null, `nobody to be asked about \`${calling.tool}\``, ask?.lines)
  return answered
}

/** Makes the call and waits for whatever comes first: a question to a person, or the answer. Ten seconds at most. */
async function firstOf(
  scene: Scene,
  agent: AgentName,
  calling: Calling,
): Promise<{ readonly ask: Ask | null; readonly answered: Promise<Came> }> {
  const over = { come: false }
  const answered = call(await scene.client(agent), calling).finally(() => (over.come = true))
  // Awaited by whoever called; until then a failure is no crash.
  answered.catch(() => undefined)
  for (let tries = 0; tries < 500 && !over.come; tries += 1) {
    const [ask] = await pending(scene)
    if (ask !== undefined) return { ask, answered }
    await sleep(20)
  }
  if (over.come) return { ask: null, answered }
  throw new Error('neither an answer nor a question came within ten seconds')
}

export async function pending(scene: Scene): Promise<readonly Ask[]> {
  const answer = await scene.operators.get('/v1/asks', { state: 'pending' })
  return list(answer, 'asks').map((ask) => ({
    id: text(ask, 'id'),
    call: text(ask, 'call'),
    digest: text(ask, 'digest'),
    proof: text(ask, 'requirement', 'proof'),
    lines: list(ask, 'lines').map(String),
  }))
}

/** A key press in the terminal that runs the broker. Only the broker's own process can say so; no request can. */
export async function atTerminal(
  scene: Scene,
  path: string,
  body: object,
): Promise<{ readonly status: number; readonly said: string }> {
  const { status, body: said } = await scene.broker.api({ method: 'POST', path, body, level: 'terminal' })
  return { status, said: text(said, 'error', 'message') }
}

export const answerPath = (ask: Ask): string => `/v1/asks/${ask.id}/answer`

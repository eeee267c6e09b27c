import { ProtocolError, type Client } from '@modelcontextprotocol/client'
import { at, list, text } from './step.ts'

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

/** A call with the SDK's own client. A refusal is an answer; what is neither answer nor refusal is thrown. */
export async function call(client: Client, { tool, arguments: args, progress }: Calling): Promise<Came> {
  try {
    const result = await client.callTool(
      { name: tool, arguments: { ...args } },
      progress === undefined ? {} : { onprogress: (one) => progress(one.progress) },
    )
    const meta = result._meta
    return {
      call: text(meta, 'countersign/call'),
      refusal: text(meta, 'countersign/refusal', 'code') || null,
      isError: result.isError === true,
      text: list(result, 'content')
        .map((one) => text(one, 'text'))
        .join('\n'),
    }
  } catch (problem) {
    if (!(problem instanceof ProtocolError)) throw problem
    const said = at(problem.data, 'countersign')
    const code = text(said, 'code')
    if (code === '') throw problem
    return { call: text(said, 'call'), refusal: code, isError: true, text: problem.message }
  }
}

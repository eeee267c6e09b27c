import { confidentialities } from '../flow/labels.ts'
import {
  covers,
  doesNotCover,
  prove as proveIt,
  recipients,
  type ChainStep,
  type Proof,
} from '../policy/prove.ts'
import { exitCodes, Failure, print, progress, visible, type ExitCode } from './output.ts'
import { namedSources } from './sources.ts'
import { openInstalled } from '../compose/installed.ts'
import { text, type Invocation } from './command.ts'
import type { ProofRequest } from '../policy/prove.ts'
import type { Tool } from '../registry/tool.ts'

/** `policy prove`: can data get from here to there without anybody being asked? Needs the store and no broker. */
export async function prove(invocation: Invocation, paths: readonly string[]): Promise<ExitCode> {
  const { flags, terminal } = invocation
  const installed = await openInstalled(invocation)
  const done = progress(terminal, 'searching for a chain')
  try {
    const { tools, servers, config } = installed
    const proved = proveIt({
      sources: (await namedSources(paths, flags)) ?? installed.policies,
      tools,
      servers,
      from: fromOf(text(flags, 'from'), tools),
      to: toOf(text(flags, 'to'), tools),
      recipient: recipientOf(text(flags, 'recipient')),
      environment: config.environment,
      taskEnvironment: text(flags, 'environment') ?? config.environment,
      clearance: config.labels.clearance,
    })
    if (!proved.ok)
      throw new Failure(
        proved.problems
          .slice(0, 10)
          .map((one) => `${one.file}:${one.line}:${one.column}: ${one.message}; ${one.hint}`)
          .join('\n'),
        'countersign policy check FILE',
      )
    const { proof } = proved
    print(terminal, { ...proof, covers, doesNotCover }, () => linesOf(proof))
    return proof.chain === null && proof.complete ? exitCodes.done : exitCodes.failed
  } finally {
    done()
    await installed.close()
  }
}

const usage = 'countersign policy prove --from confidential --to effect:egress'

function fromOf(given: string | undefined, tools: readonly Tool[]): ProofRequest['from'] {
  const label = confidentialities.find((one) => one === given)
  return label === undefined ? { tool: toolOf(given, { tools, flag: 'from' }) } : { label }
}

const toOf = (given: string | undefined, tools: readonly Tool[]): ProofRequest['to'] =>
  given === 'effect:egress' ? 'egress' : { tool: toolOf(given, { tools, flag: 'to' }) }

function toolOf(
  given: string | undefined,
  { tools, flag }: { readonly tools: readonly Tool[]; readonly flag: string },
): string {
  if (given !== undefined && tools.some(({ id }) => id === given)) return given
  const what = flag === 'from' ? `one of ${confidentialities.join(', ')}` : '`effect:egress`'
  throw new Failure(`expected ${what} or a registered tool after \`--${flag}\``, usage, exitCodes.usage)
}

function recipientOf(given: string | undefined): ProofRequest['recipient'] {
  const found = recipients.find((one) => one === (given ?? 'unnamed'))
  if (found !== undefined) return found
  throw new Failure(`expected one of ${recipients.join(', ')} after \`--recipient\``, usage, exitCodes.usage)
}

function linesOf(proof: Proof): readonly string[] {
  const { chain, complete, states, decisions, tools, unknown } = proof
  const found =
    chain === null
      ? [
          complete
            ? 'no chain: within what is covered, every way asks a person or is denied'
            : 'no chain was found, and the search was cut off: this says nothing',
        ]
      : [
          `a chain of ${chain.length} ${chain.length === 1 ? 'call' : 'calls'} that nobody is asked about:`,
          ...chain.flatMap(stepLines),
        ]
  return [
    ...found,
    `${states} states explored, ${decisions} questions put to the judge, ${tools} reviewed tools`,
    ...covers.map((one) => `covers: ${one}`),
    ...doesNotCover.map((one) => `does not cover: ${one}`),
    ...Object.entries(unknown).map(
      ([path, ids]) =>
        `taken for whatever allows: \`${visible(path)}\` in ${ids.map((id) => visible(id)).join(', ')}`,
    ),
  ]
}

function stepLines({ tool, assumes, doubts, labels }: ChainStep, index: number): readonly string[] {
  return [
    `  ${index + 1}. ${visible(tool)}${assumes.length === 0 ? '' : `: ${assumes.map((one) => visible(one)).join(', ')}`}`,
    `     the task has then read what is ${labels.confidentiality}${labels.untrusted ? ' and untrusted' : ''}`,
    ...(doubts.length === 0
      ? []
      : [`     whatever is so of ${doubts.map((one) => `\`${visible(one)}\``).join(', ')}`]),
  ]
}

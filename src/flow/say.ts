import type { Flow } from './flow.ts'
import type { Origin, Traced } from './trace.ts'

const words: { readonly [O in Origin]: string } = {
  purpose: 'named in the words of the task',
  directory: 'from a directory that the reviewer vouches for',
  trusted: 'from a field that the reviewer vouches for',
  model: 'made by the model; the task has read nothing untrusted',
  untrusted: 'untrusted',
}

/** Where each target comes from, one line each, for people. Names arguments, tools and calls, never a value. */
export const sayTargets = ({ targets }: Pick<Flow, 'targets'>): readonly string[] =>
  targets.slice(0, 32).map(sayTarget)

function sayTarget({ at, kind, origin, met, mixed }: Traced): string {
  const nowhere =
    origin === 'untrusted' ? 'found nowhere, and the task has read something untrusted' : words[origin]
  const where =
    met === null
      ? nowhere
      : `${words[origin]}, first met in what \`${met.tool}\` gave back (call ${met.call})`
  return `\`${at}\` (${kind}): ${where}${mixed ? '; met in more than one place' : ''}`
}

/** Those that a rule about origins would stop, in words for the reasons of a decision. */
export const sayDoubtful = (flow: Pick<Flow, 'targets'>): readonly string[] =>
  sayTargets({
    targets: flow.targets.filter(({ origin, kind }) => origin === 'untrusted' && kind !== 'amount'),
  })

import { exitCodes, Failure, print, table, visible, type ExitCode } from './output.ts'
import { objects, say } from './agent.ts'
import { namedSources } from './sources.ts'
import { writeFile } from 'node:fs/promises'
import { text, type Command, type Invocation } from './command.ts'
import type { JsonObject } from '../lib/json.ts'

export const policyCommand: Command = {
  usage: [
    'policy show',
    'policy check FILE_OR_DIR…       validates against the registry; changes nothing',
    'policy swap FILE_OR_DIR…        makes it live, whole',
    'policy swap --starter observe|guarded|guarded-one-person|strict',
    'policy suggest [--out FILE]     a set from what was observed, with questions per day',
    'policy test FILE_OR_DIR…        cases with history, and what the policies must say to them',
    'policy prove --from LABEL|TOOL --to TOOL|effect:egress [--recipient unnamed|stranger|any] [--environment NAME] [FILE_OR_DIR…] [--starter NAME]    the shortest chain of calls without a question, or that there is none',
    'policy replay [FILE_OR_DIR…] [--dir DIR] [--starter NAME] [--since 7d] [--limit N]    the recorded calls against a set that is not live',
  ],
  options: {
    starter: { type: 'string' },
    out: { type: 'string' },
    dir: { type: 'string' },
    since: { type: 'string' },
    limit: { type: 'string' },
    from: { type: 'string' },
    to: { type: 'string' },
    recipient: { type: 'string' },
    environment: { type: 'string' },
  },
  words: 100,
  async run(invocation) {
    const [verb = 'show', ...paths] = invocation.words
    if ((verb === 'show' || verb === 'suggest') && paths[0] !== undefined)
      throw new Failure(
        `did not expect \`${visible(paths[0])}\``,
        'countersign policy --help',
        exitCodes.usage,
      )
    switch (verb) {
      case 'show':
        return show(invocation)
      case 'check':
        return check(invocation, paths)
      case 'swap':
        return swap(invocation, paths)
      case 'suggest':
        return suggested(invocation)
      case 'test':
        return (await import('./trying.ts')).test(invocation, paths)
      case 'replay':
        return (await import('./replaying.ts')).replay(invocation, paths)
      case 'prove':
        return (await import('./proving.ts')).prove(invocation, paths)
      default:
        throw new Failure(`there is no \`policy ${verb}\``, 'countersign policy --help', exitCodes.usage)
    }
  },
}

async function show({ operators, terminal }: Invocation): Promise<ExitCode> {
  const answer = await (await operators()).get('/v1/policy')
  print(terminal, answer, () => [
    `version ${say(answer['version'])}`,
    ...objects(answer['files']).flatMap((file) => [`--- ${say(file['name'])}`, say(file['text'])]),
  ])
  return exitCodes.done
}

async function check(
  { operators, terminal, flags }: Invocation,
  paths: readonly string[],
): Promise<ExitCode> {
  const files = await sources(paths, flags)
  const answer = await (await operators()).send('POST', '/v1/policy/check', { files })
  print(terminal, answer, () =>
    answer['ok'] === true ? [`valid, version ${say(answer['version'])}`] : problems(answer),
  )
  return answer['ok'] === true ? exitCodes.done : exitCodes.failed
}

async function swap(invocation: Invocation, paths: readonly string[]): Promise<ExitCode> {
  const files = await sources(paths, invocation.flags)
  const api = await invocation.operators()
  const checked = await api.send('POST', '/v1/policy/check', { files })
  if (checked['ok'] !== true) {
    throw new Failure(
      `the live policies stay as they are:\n${problems(checked).join('\n')}`,
      'countersign policy check FILE',
    )
  }
  const answer = await invocation.proven((proof) => api.send('PUT', '/v1/policy', { files }, proof))
  print(invocation.terminal, answer, () => [`live: version ${say(answer['version'])}`])
  return exitCodes.done
}

async function suggested({ operators, terminal, flags }: Invocation): Promise<ExitCode> {
  const answer = await (await operators()).get('/v1/policy/suggestion')
  const out = text(flags, 'out')
  if (out !== undefined) await writeNew(out, say(answer['text']))
  const left = Array.isArray(answer['leftOut']) ? answer['leftOut'].map((tool) => visible(say(tool))) : []
  print(terminal, answer, () => [
    ...(out === undefined
      ? [say(answer['text'])]
      : [`written to ${out}; read it, then: countersign policy swap ${out}`]),
    `// from ${say(answer['calls'])} calls on ${say(answer['days'])} ${answer['days'] === 1 ? 'day' : 'days'}; it would have asked ${say(answer['questionsPerDay'])} times a day`,
    ...(left.length === 0
      ? []
      : [`// nothing is proposed for what is not registered any more: ${left.join(', ')}`]),
  ])
  return exitCodes.done
}

/** A file that is there already may be the live set: it is not written over. */
async function writeNew(path: string, text: string): Promise<void> {
  await writeFile(path, text, { flag: 'wx' }).catch((problem: NodeJS.ErrnoException) => {
    if (problem.code !== 'EEXIST') throw problem
    throw new Failure(`\`${path}\` exists already`, `countersign policy suggest --out another.cedar`)
  })
}

/** Line and column first, as compilers print them, then what to do. */
const problems = (answer: JsonObject): readonly string[] =>
  table(
    objects(answer['problems']).map((one) => [
      `${say(one['file'])}:${say(one['line'])}:${say(one['column'])}`,
      `${say(one['message'])}; ${say(one['hint'])}`,
    ]),
  )

async function sources(paths: readonly string[], flags: Invocation['flags']): Promise<readonly JsonObject[]> {
  const named = await namedSources(paths, flags)
  if (named === null)
    throw new Failure('expected a file or a folder', 'countersign policy check policies/', exitCodes.usage)
  return named.map((file) => ({ ...file }))
}

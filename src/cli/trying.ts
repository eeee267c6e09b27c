import { dirname, join, resolve } from 'node:path'
import { readdir, readFile, stat } from 'node:fs/promises'
import { exitCodes, Failure, green, print, red, visible, type ExitCode } from './output.ts'
import { loadPoliciesHere } from '../policy/load.ts'
import { openInstalled, type Installed } from '../compose/installed.ts'
import { parseCases, type Case, type PolicyRef } from '../policy/cases.ts'
import { policySources } from './sources.ts'
import { readStarter } from '../policy/starter.ts'
import { tryCase, type Tried } from '../policy/trial.ts'
import type { Invocation } from './command.ts'
import type { LoadedPolicies } from '../policy/snapshot.ts'
import type { Source } from '../policy/parse.ts'

/** `policy test`: cases as data against a policy set. Needs no broker, and the installation only where a case leaves something to it. */
export async function test(invocation: Invocation, paths: readonly string[]): Promise<ExitCode> {
  const { terminal } = invocation
  if (paths.length === 0)
    throw new Failure(
      'expected a file or a folder of cases',
      'countersign policy test examples/policies/tests',
      exitCodes.usage,
    )
  const files = (await Promise.all(paths.map(caseFiles))).flat()
  const installed = lazily(() => openInstalled(invocation))
  const tried: (Tried & { readonly file: string })[] = []
  try {
    for (const file of files) {
      const parsed = parseCases(await readFile(file, 'utf8'))
      if (!parsed.ok) throw new Failure(`\`${visible(file)}\` ${parsed.problem}`, hint, exitCodes.usage)
      const load = loader(file, installed)
      for (const one of parsed.cases) {
        const { policy, tools } = await load(one)
        tried.push({ file, ...tryCase(one, policy, tools) })
      }
    }
  } finally {
    await installed.opened?.then(({ close }) => close())
  }
  const failed = tried.filter(({ ok }) => !ok)
  print(terminal, { passed: tried.length - failed.length, failed: failed.length, cases: tried }, () => [
    ...tried.flatMap((one) => linesOf(one, terminal)),
    `${tried.length - failed.length} passed, ${failed.length} failed`,
  ])
  return failed.length === 0 ? exitCodes.done : exitCodes.failed
}

const hint = 'docs/guides/policy-checks.md says what a case holds'

function linesOf(
  { ok, name, expected, problems }: Tried,
  terminal: Invocation['terminal'],
): readonly string[] {
  const mark = ok ? green(terminal, 'ok  ') : red(terminal, 'FAIL')
  return [`${mark} ${expected.padEnd(5)} ${visible(name)}`, ...problems.map((one) => `     ${visible(one)}`)]
}

async function caseFiles(path: string): Promise<readonly string[]> {
  if (!(await stat(path)).isDirectory()) return [path]
  const found = (await readdir(path)).filter((name) => /\.ya?ml$/.test(name)).sort()
  if (found.length === 0)
    throw new Failure(`there is no \`.yaml\` file in \`${visible(path)}\``, 'countersign policy test FILE')
  return found.map((name) => join(path, name))
}

type Lazily = { get(): Promise<Installed>; readonly opened: Promise<Installed> | null }

function lazily(open: () => Promise<Installed>): Lazily {
  let opened: Promise<Installed> | null = null
  return {
    get: () => (opened ??= open()),
    get opened() {
      return opened
    },
  }
}

type Ready = { readonly policy: LoadedPolicies; readonly tools: Installed['tools'] }

/** Cases with the same policies and tools share one loaded set. */
function loader(file: string, installed: Lazily): (of: Case) => Promise<Ready> {
  const known = new Map<string, Ready>()
  return async (of) => {
    const key = JSON.stringify([of.policy, of.tools])
    const before = known.get(key)
    const foreign = [of.call, ...of.history.map(({ call }) => call)].some(
      (id) => !of.tools.some((tool) => tool.id === id),
    )
    if (before !== undefined && (!foreign || before.tools.length > 0)) return before
    const tools = foreign ? (await installed.get()).tools : []
    const own = new Set(of.tools.map(({ id }) => id))
    const all = [...of.tools, ...tools.filter(({ id }) => !own.has(id))]
    const loaded = loadPoliciesHere({ sources: await sourcesOf(of.policy, file, installed), tools: all })
    if (!loaded.ok)
      throw new Failure(
        `the policies of \`${visible(of.name)}\` do not load: ${loaded.problems
          .slice(0, 5)
          .map((one) => `${one.file}:${one.line}:${one.column}: ${one.message}; ${one.hint}`)
          .join('\n')}`,
        'countersign policy check FILE',
      )
    const ready = { policy: loaded.snapshot, tools }
    known.set(key, ready)
    return ready
  }
}

/** Files are named from where the cases lie. */
async function sourcesOf(
  policy: PolicyRef | null,
  file: string,
  installed: Lazily,
): Promise<readonly Source[]> {
  if (policy === null) return (await installed.get()).policies
  if ('starter' in policy) return readStarter(policy.starter)
  return policySources(policy.files.map((one) => resolve(dirname(file), one)))
}

import { bad, ok, said, warning, type Check } from './check.ts'
import { createServer } from 'node:net'
import { isLoopbackName } from '../../server/destination.ts'
import { operatorClient, OperatorFailure } from '../client.ts'
import { parseAddress } from '../../config/address.ts'
import { readRunFile, type RunFile } from '../run.ts'
import type { Config } from '../../config/schema.ts'
import type { JsonObject } from '../../lib/json.ts'

/** What runs here, as far as its files and its own answer tell. */
export type Running = {
  readonly run: RunFile | null
  readonly status: JsonObject | null
  readonly check: Check
}

const answerMs = 5000

/** Whether a broker runs in this home folder, and whether it lets us in. */
export async function running(given: {
  readonly home: string
  readonly keys: string
  readonly version: string
}): Promise<Running> {
  const run = await readRunFile(given.home).catch(() => null)
  if (run === null) return { run, status: null, check: warning('broker', 'not running', 'countersign serve') }
  const client = operatorClient({ home: given.home, keys: given.keys, timeoutMs: answerMs })
  try {
    const status = await (await client).get('/v1/status')
    const { version } = status
    const check =
      version === given.version
        ? ok('broker', `${run.agents} and ${run.operators}`)
        : warning('broker', `it runs version ${String(version)}, this is ${given.version}`, 'start it again')
    return { run, status, check }
  } catch (problem) {
    const refused = problem instanceof OperatorFailure && problem.status === 401
    const check = refused
      ? bad('broker', 'it does not take `operator.token`', 'it was started with another one: start it again')
      : bad('broker', `pid ${run.pid} does not answer`, 'stop it and start it again')
    return { run, status: null, check }
  }
}

/** Ours, free or taken. `meant`: a broker is meant to run with this configuration, so a port that is taken keeps it from doing so. */
export async function addresses(
  { listen }: Config,
  given: { readonly run: RunFile | null; readonly meant: boolean },
): Promise<readonly Check[]> {
  const names = ['agents', 'operators'] as const
  return Promise.all(
    names.map(async (name): Promise<Check> => {
      const what = `listen.${name}`
      const at = address(what, listen[name])
      if ('state' in at) return at
      if (given.run !== null) return ok(what, `${listen[name]}, ours while it runs`)
      const problem = await taken(at)
      if (problem === null) return ok(what, `${listen[name]} is free`)
      const hint =
        problem === 'EADDRINUSE'
          ? `stop what listens there (ss -ltnp | grep ${at.port}), or set \`${what}\``
          : problem === 'EACCES'
            ? `ports below 1024 need a right of their own: set \`${what}\` to a higher one`
            : `set \`${what}\` to an address of this machine`
      const detail = `${listen[name]} cannot be taken (${problem})`
      return given.meant ? bad(what, detail, hint) : warning(what, detail, hint)
    }),
  )
}

function address(what: string, text: string): { readonly host: string; readonly port: number } | Check {
  try {
    return parseAddress(what, text)
  } catch (problem) {
    return bad(what, said(problem).split('\n').at(-1)?.trim() ?? '', 'write it as 127.0.0.1:7316')
  }
}

const taken = ({ host, port }: { readonly host: string; readonly port: number }): Promise<string | null> =>
  new Promise((done) => {
    const server = createServer()
    server.once('error', (problem: NodeJS.ErrnoException) => done(problem.code ?? 'unknown'))
    server.listen({ host, port, exclusive: true }, () => server.close(() => done(null)))
  })

const wildcards: readonly string[] = ['0.0.0.0', '::', '[::]']
const hostOf = (text: string): string => text.replace(/:\d+$/, '')

/** What the configuration says of who may come, where a mistake shows only when agents are there. */
export function doors({ listen, store }: Pick<Config, 'listen' | 'store'>): readonly Check[] {
  const { agentsUrl, allowedHosts } = listen
  const checks: Check[] = []
  const open = (['agents', 'operators'] as const).filter((name) => wildcards.includes(hostOf(listen[name])))
  for (const name of open)
    if (allowedHosts.length === 0 && (name === 'operators' || agentsUrl === undefined))
      checks.push(
        warning(
          `listen.${name}`,
          `${listen[name]} names nobody: requests by any but a loopback name are refused`,
          'name the hosts that clients use in `listen.allowedHosts`',
        ),
      )
  if (store !== undefined && agentsUrl === undefined)
    checks.push(
      warning(
        'listen.agentsUrl',
        'not set: tokens of one node are foreign to the others',
        'set `listen.agentsUrl` to the address that agents use, the same on every node',
      ),
    )
  const url = agentsUrl === undefined ? null : new URL(agentsUrl)
  if (url !== null && url.protocol === 'http:' && !isLoopbackName(url.hostname.replace(/^\[|\]$/g, '')))
    checks.push(
      warning(
        'listen.agentsUrl',
        `${agentsUrl}: tokens cross the network as they are`,
        'end TLS in front of the broker, or let a mesh encrypt the way, and name https there',
      ),
    )
  return checks
}

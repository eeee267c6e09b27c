import { access, constants, stat } from 'node:fs/promises'
import { bad, ok, said, warning, within, type Check } from './check.ts'
import { connect as connectPlain, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { delimiter, isAbsolute, join, resolve } from 'node:path'
import { destination, type Destination } from '../../server/destination.ts'
import { get as secretOf } from '../../store/verbs/secrets.ts'
import { secretsNamedIn } from '../../credential/reference.ts'
import { servers as registered } from '../../store/verbs/registry.ts'
import {
  serverSchema,
  type HttpServerConfig,
  type ServerConfig,
  type StdioServerConfig,
} from '../../config/schema.ts'
import type { Config } from '../../config/schema.ts'
import type { Look } from './look.ts'

/** So many are looked at, so many at once, and no longer than this for one. */
const most = 100
const together = 8
const reachMs = 5000

type Named = { readonly name: string; readonly config: ServerConfig }

/** Configured servers and those that were registered by command: can each be started or reached? Nothing is sent to them. */
export async function servers(config: Config, look: Look | null): Promise<readonly Check[]> {
  const all = await known(config, look)
  const checks: Check[] = []
  for (let at = 0; at < Math.min(all.length, most); at += together)
    checks.push(
      ...(await Promise.all(all.slice(at, Math.min(at + together, most)).map((one) => server(one, look)))),
    )
  return all.length <= most
    ? checks
    : [
        ...checks,
        warning('servers', `${all.length - most} more were not looked at`, 'countersign server list'),
      ]
}

async function known(config: Config, look: Look | null): Promise<readonly Named[]> {
  const named = Object.entries(config.servers).map(([name, one]) => ({ name, config: one }))
  const records = look === null ? [] : await look.view(registered())
  const more = records.flatMap(({ name, config: kept, state }): readonly Named[] => {
    if (state !== 'active' || Object.hasOwn(config.servers, name)) return []
    const parsed = serverSchema.safeParse(kept)
    return parsed.success ? [{ name, config: parsed.data }] : []
  })
  return [...named, ...more]
}

async function server({ name, config }: Named, look: Look | null): Promise<Check> {
  const what = `server ${name}`
  const missing = await missingSecret(config, look)
  if (missing !== null)
    return bad(
      what,
      `the secret \`${missing}\` is not in the sealed store`,
      `countersign secret set ${missing}`,
    )
  if (config.reviewed !== undefined && !(await isThere(config.reviewed, constants.R_OK)))
    return bad(
      what,
      `its reviews \`${config.reviewed}\` cannot be read`,
      `look at it: ls -l ${config.reviewed}`,
    )
  return 'command' in config ? program(what, config) : endpoint(what, config)
}

async function missingSecret(config: ServerConfig, look: Look | null): Promise<string | null> {
  if (look === null) return null
  const values = Object.values('command' in config ? config.env : config.headers)
  for (const secret of new Set(values.flatMap(secretsNamedIn)))
    if ((await look.view(secretOf(secret))) === null) return secret
  return null
}

const isThere = (path: string, mode: number): Promise<boolean> =>
  access(path, mode).then(
    () => true,
    () => false,
  )

/** Found as the broker finds it: no shell, and the `PATH` that it was started with. */
async function program(what: string, { command, cwd }: StdioServerConfig): Promise<Check> {
  if (cwd !== undefined && !(await stat(cwd).catch(() => null))?.isDirectory())
    return bad(what, `its folder \`${cwd}\` is not there`, `mkdir -p ${cwd}`)
  const path = process.env['PATH'] ?? ''
  const places = command.includes('/')
    ? [isAbsolute(command) ? command : resolve(cwd ?? '.', command)]
    : path.split(delimiter).map((folder) => join(folder, command))
  for (const place of places)
    if ((await stat(place).catch(() => null))?.isFile() === true && (await isThere(place, constants.X_OK)))
      return ok(what, place)
  return bad(
    what,
    `there is no program \`${command}\``,
    'install it, or name it with its whole path; a service has another PATH than your shell',
  )
}

async function endpoint(what: string, { url, allowPrivate }: HttpServerConfig): Promise<Check> {
  const to = destination(url, { allowPrivate })
  if ('problem' in to) return bad(what, to.problem, 'correct its `url`')
  return connected(what, to)
}

/** Opens the connection that a call would open, with the same guard on addresses, and closes it. */
export async function connected(what: string, to: Destination): Promise<Check> {
  const { hostname, port, protocol, origin } = to.url
  const host = hostname.replace(/^\[|\]$/g, '')
  const secure = protocol === 'https:'
  const address = { host, port: port === '' ? (secure ? 443 : 80) : Number(port), lookup: to.lookup }
  const opened = secure
    ? connectTls({ ...address, ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }) })
    : connectPlain(address)
  try {
    await within(reachMs, ready(opened, secure ? 'secureConnect' : 'connect'))
    const left = secure ? daysLeft(opened) : null
    return left !== null && left < 14
      ? warning(what, `its certificate ends in ${left} days`, 'renew it')
      : ok(what, `${origin} answers`)
  } catch (problem) {
    const first: unknown = problem instanceof AggregateError ? problem.errors[0] : problem
    return bad(what, `${origin}: ${said(first)}`, hintFor(first))
  } finally {
    opened.destroy()
  }
}

function ready(socket: Socket, event: 'connect' | 'secureConnect'): Promise<void> {
  return new Promise((done, fail) => {
    socket.once(event, () => done())
    socket.on('error', fail)
  })
}

const daysLeft = (socket: Socket | TLSSocket): number | null => {
  if (!('getPeerCertificate' in socket)) return null
  const { valid_to: until } = socket.getPeerCertificate()
  const days = Math.floor((Date.parse(until) - Date.now()) / 86_400_000)
  return Number.isFinite(days) ? days : null
}

function hintFor(problem: unknown): string {
  const code = problem instanceof Error && 'code' in problem ? String(problem.code) : ''
  if (code === 'COUNTERSIGN_BLOCKED') return 'set `allowPrivate` for this server if it should be there'
  if (code === 'ECONNREFUSED') return 'start it, or correct its `url`'
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'correct the host, or look at the name server'
  if (/CERT|SELF_SIGNED|UNABLE_TO/.test(code))
    return 'give it a certificate of an authority that Node knows: NODE_EXTRA_CA_CERTS=FILE'
  return 'open the way to it: firewall, network policy'
}

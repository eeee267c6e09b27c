import { access, stat, statfs } from 'node:fs/promises'
import { exitCodes, print, table, green, red, yellow } from './output.ts'
import { DatabaseSync } from 'node:sqlite'
import { join } from 'node:path'
import { readRunFile } from './run.ts'
import { verifyLog } from '../verify.ts'
import type { Command, Invocation } from './command.ts'
import { operatorClient } from './client.ts'

type Check = {
  readonly what: string
  readonly state: 'ok' | 'warning' | 'bad'
  readonly detail: string
  readonly hint: string
}

export const doctorCommand: Command = {
  usage: ['doctor   checks clock, disk, keys, log and listeners, and says what to do'],
  options: {},
  words: 0,
  async run(invocation) {
    const checks = [
      runtime(),
      clock(),
      await disk(invocation),
      ...(await keys(invocation)),
      await store(invocation),
      await log(invocation),
      ...(await listeners(invocation)),
    ]
    const { terminal } = invocation
    const mark = {
      ok: green(terminal, 'ok'),
      warning: yellow(terminal, 'warning'),
      bad: red(terminal, 'bad'),
    }
    print(terminal, { checks }, () =>
      table(
        checks.map(({ what, state, detail, hint }) => [
          mark[state],
          what,
          detail,
          state === 'ok' ? '' : `hint: ${hint}`,
        ]),
      ),
    )
    return checks.some(({ state }) => state === 'bad') ? exitCodes.failed : exitCodes.done
  },
}

function runtime(): Check {
  const major = Number(process.versions.node.split('.')[0])
  return {
    what: 'node',
    state: major >= 24 ? 'ok' : 'bad',
    detail: process.version,
    hint: 'use Node 24 or later',
  }
}

/** Tokens live for minutes: a clock that is years off makes every one of them foreign. */
function clock(): Check {
  const sound = Date.now() > Date.UTC(2026, 0, 1)
  return {
    what: 'clock',
    state: sound ? 'ok' : 'bad',
    detail: new Date().toISOString(),
    hint: 'set the clock of this machine',
  }
}

async function disk({ home }: Invocation): Promise<Check> {
  const room = await statfs(home).catch(() => null)
  if (room === null)
    return { what: 'disk', state: 'warning', detail: `no folder \`${home}\` yet`, hint: 'countersign serve' }
  const free = (room.bavail * room.bsize) / 2 ** 30
  return {
    what: 'disk',
    state: free > 1 ? 'ok' : 'warning',
    detail: `${free.toFixed(1)} GiB free`,
    hint: 'a call that cannot be recorded is not made: free some room',
  }
}

async function keys({ home }: Invocation): Promise<readonly Check[]> {
  const files = ['keys/seal.key', 'keys/token.jwk', 'keys/log.pem', 'keys/broker.key', 'operator.token']
  const checks = files.map(async (name): Promise<Check> => {
    const path = join(home, name)
    const found = await stat(path).catch(() => null)
    if (found === null)
      return { what: name, state: 'warning', detail: 'not made yet', hint: 'countersign serve' }
    const open = (found.mode & 0o077) !== 0 && process.platform !== 'win32'
    return {
      what: name,
      state: open ? 'bad' : 'ok',
      detail: (found.mode & 0o777).toString(8),
      hint: `chmod 600 ${path}`,
    }
  })
  return Promise.all(checks)
}

/** Read only, so that a broker that runs is not disturbed: SQLite's own check of pages and indices. */
async function store({ home }: Invocation): Promise<Check> {
  const path = join(home, 'store', 'countersign.db')
  const found = await stat(path).catch(() => null)
  if (found === null)
    return { what: 'store', state: 'warning', detail: 'not made yet', hint: 'countersign serve' }
  const hint = 'stop the broker, keep a copy of the folder, and put a backup back'
  try {
    const database = new DatabaseSync(path, { readOnly: true, timeout: 2000 })
    try {
      const row = database.prepare('pragma quick_check(1)').get()
      const said = String(Object.values(row ?? {})[0])
      const mib = (found.size / 2 ** 20).toFixed(1)
      return said === 'ok'
        ? { what: 'store', state: 'ok', detail: `${mib} MiB, sound`, hint: '' }
        : { what: 'store', state: 'bad', detail: said.slice(0, 100), hint }
    } finally {
      database.close()
    }
  } catch {
    return { what: 'store', state: 'bad', detail: 'it is no database that can be read', hint }
  }
}

async function log({ home }: Invocation): Promise<Check> {
  const directory = join(home, 'log')
  if (
    !(await access(directory).then(
      () => true,
      () => false,
    ))
  ) {
    return { what: 'log', state: 'warning', detail: 'nothing published yet', hint: 'countersign serve' }
  }
  const report = await verifyLog({ directory })
  const detail = report.ok
    ? `${report.size} entries, consistent`
    : (report.problems[0]?.problem ?? 'does not verify')
  return { what: 'log', state: report.ok ? 'ok' : 'bad', detail, hint: 'countersign audit verify' }
}

async function listeners({ home }: Invocation): Promise<readonly Check[]> {
  const run = await readRunFile(home).catch(() => null)
  if (run === null)
    return [{ what: 'broker', state: 'warning', detail: 'not running', hint: 'countersign serve' }]
  const status = await operatorClient({ home }).then(
    (api) => api.get('/v1/status'),
    () => null,
  )
  if (status === null)
    return [
      {
        what: 'broker',
        state: 'bad',
        detail: `pid ${run.pid} does not answer`,
        hint: 'stop it and start it again',
      },
    ]
  const passphrase = status['passphraseSet'] === true
  return [
    { what: 'broker', state: 'ok', detail: `${run.agents} and ${run.operators}`, hint: '' },
    {
      what: 'passphrase',
      state: passphrase ? 'ok' : 'warning',
      detail: passphrase ? 'set' : 'not set',
      hint: 'press p in the terminal that runs the broker',
    },
  ]
}

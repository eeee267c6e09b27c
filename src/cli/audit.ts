import { exitCodes, Failure, print, progress, table, visible, type ExitCode } from './output.ts'
import { join } from 'node:path'
import { objects, say } from './agent.ts'
import { access, readFile } from 'node:fs/promises'
import { loadSigningKey, vkeyOf } from '../audit/note.ts'
import { openCheckpoint } from '../audit/checkpoint.ts'
import { verifyReceipt } from '../audit/receipt.ts'
import { check as checkAll } from './fsck.ts'
import { amount, text, texts, type Command, type Invocation } from './command.ts'
import { verifyLog, type Report } from '../verify.ts'
import { isJsonObject, type JsonObject } from '../lib/json.ts'

export const auditCommand: Command = {
  usage: [
    'audit recent [--limit N] [--task ID] [--agent NAME] [--kind refused|intent|outcome|act]',
    'audit call ID                   every entry of one call',
    'audit receipt INDEX [> FILE]    an entry with its proof of inclusion',
    'audit check FILE --vkey KEY     a receipt, offline: which entry the log with that key holds',
    'audit checkpoint                the signed head of the log; keep it somewhere else',
    "audit key                       the log's verifier key; keep it somewhere else",
    'audit erase COMMITMENT --reason TEXT    deletes one payload; the entry and its proof stay',
    "audit export NAME               a complete copy, below the broker's folder",
    "audit verify [DIR] [--vkey KEY] [--checkpoint FILE]…    offline; without DIR the broker's own log",
    'audit fsck                      the whole store against the whole log, whether or not the broker runs',
  ],
  options: {
    limit: { type: 'string' },
    task: { type: 'string' },
    agent: { type: 'string' },
    kind: { type: 'string' },
    vkey: { type: 'string' },
    checkpoint: { type: 'string', multiple: true },
    reason: { type: 'string' },
  },
  words: 2,
  async run(invocation) {
    const [verb = 'recent', what] = invocation.words
    switch (verb) {
      case 'verify':
        return verify(invocation, what)
      case 'fsck':
        return checkAll(invocation)
      case 'check':
        return check(invocation, needed(verb, what))
      case 'recent':
        return recent(invocation)
      case 'call':
        return call(invocation, needed(verb, what))
      case 'receipt':
      case 'checkpoint':
      case 'key':
        return plainText(invocation, verb, what)
      case 'erase':
        return erase(invocation, needed(verb, what))
      case 'export':
        return exported(invocation, needed(verb, what))
      default:
        throw new Failure(`there is no \`audit ${verb}\``, 'countersign audit --help', exitCodes.usage)
    }
  },
}

const needed = (verb: string, what: string | undefined): string => {
  if (what === undefined)
    throw new Failure(`expected what to show: audit ${verb} …`, 'countersign audit --help', exitCodes.usage)
  return what
}

/** Needs no broker: Node and the folder. */
async function verify({ flags, home, terminal }: Invocation, given?: string): Promise<ExitCode> {
  const directory = given ?? join(home, 'log')
  await access(directory).catch(() => {
    const hint =
      given === undefined
        ? 'the broker publishes it while it runs: countersign serve'
        : 'give the folder of a copy: countersign audit export NAME'
    throw new Failure(`there is no log in \`${visible(directory)}\``, hint)
  })
  const vkey = text(flags, 'vkey') ?? (given === undefined ? await ownKey(home, directory) : undefined)
  const kept = await Promise.all(texts(flags, 'checkpoint').map((path) => readFile(path, 'utf8')))
  const done = progress(terminal, 'verifying')
  const report = await verifyLog({ directory, kept, ...(vkey === undefined ? {} : { vkey }) }).finally(done)
  print(terminal, report, () => reportLines(report))
  return report.ok ? exitCodes.done : exitCodes.unverified
}

async function erase(invocation: Invocation, commitment: string): Promise<ExitCode> {
  const reason = text(invocation.flags, 'reason')
  if (reason === undefined)
    throw new Failure(
      'expected `--reason TEXT`',
      'countersign audit erase COMMITMENT --reason TEXT',
      exitCodes.usage,
    )
  const api = await invocation.operators()
  const answer = await invocation.proven((proof) =>
    api.send('POST', '/v1/audit/erase', { commitment, reason }, proof),
  )
  print(invocation.terminal, answer, () => [`erased ${commitment}; the entry stays`])
  return exitCodes.done
}

/** Needs no broker and no log: Node, the file and the key that was kept. */
async function check({ flags, terminal }: Invocation, file: string): Promise<ExitCode> {
  const vkey = text(flags, 'vkey')
  if (vkey === undefined) throw new Failure('expected `--vkey KEY`', 'countersign audit key', exitCodes.usage)
  const receipt = await readFile(file, 'utf8').catch(() => {
    throw new Failure(`\`${visible(file)}\` cannot be read`, 'countersign audit receipt INDEX > FILE')
  })
  const found = verifyReceipt({ text: receipt, vkey })
  if (!found.ok) {
    const message = `this receipt proves nothing: ${found.problem.replaceAll('-', ' ')}`
    throw new Failure(message, 'compare the key with the one that was kept', exitCodes.unverified)
  }
  const entry = Buffer.from(found.entry).toString('utf8')
  const { origin, size } = found.checkpoint
  print(terminal, { ok: true, index: found.index, origin, size, entry: JSON.parse(entry) }, () => [
    `ok: entry ${found.index} of ${size} in the log ${origin}`,
    visible(JSON.stringify(JSON.parse(entry), null, 2), { lines: true }),
  ])
  return exitCodes.done
}

/** The broker's own log is checked with the broker's own key; a copy needs the key that was kept. */
async function ownKey(home: string, directory: string): Promise<string | undefined> {
  const pem = await readFile(join(home, 'keys', 'log.pem'), 'utf8').catch(() => null)
  const opened = openCheckpoint(await readFile(join(directory, 'checkpoint'), 'utf8').catch(() => ''), null)
  return pem === null || !opened.ok ? undefined : vkeyOf(opened.checkpoint.origin, loadSigningKey(pem))
}

export function reportLines(report: Report): readonly string[] {
  const { intent, outcome, refused, act } = report.counts
  return [
    report.ok
      ? `ok: ${report.size} entries, root ${report.root}`
      : `FAILED: ${report.problems.length} problems in ${report.size} entries`,
    `${intent} intents, ${outcome} outcomes, ${refused} refusals, ${act} acts; ${report.open.length} calls without an outcome yet`,
    `signature: ${report.signature}${report.origin === null ? '' : `, log ${report.origin}`}`,
    ...report.problems.map(({ index, call, problem, hint }) =>
      [
        index === undefined ? '' : `entry ${index}`,
        call === undefined ? '' : `(${call})`,
        visible(problem),
        `— ${hint}`,
      ]
        .filter(Boolean)
        .join(' '),
    ),
    ...report.notes.map((note) => `note: ${visible(note)}`),
  ]
}

async function recent({ operators, terminal, flags }: Invocation): Promise<ExitCode> {
  const filter = {
    limit: amount(flags, 'limit') ?? 30,
    task: text(flags, 'task'),
    agent: text(flags, 'agent'),
    kind: text(flags, 'kind'),
  }
  const answer = await (await operators()).get('/v1/audit/recent', filter)
  const rows = objects(answer['entries']).toReversed().map(row)
  print(terminal, answer, () => (rows.length === 0 ? ['no entries'] : table(rows)))
  return exitCodes.done
}

async function call({ operators, terminal }: Invocation, id: string): Promise<ExitCode> {
  const answer = await (await operators()).get(`/v1/calls/${encodeURIComponent(id)}`)
  print(terminal, answer, () =>
    objects(answer['entries']).map((one) => visible(JSON.stringify(one['entry'], null, 2), { lines: true })),
  )
  return exitCodes.done
}

async function plainText(
  { operators, terminal }: Invocation,
  verb: 'receipt' | 'checkpoint' | 'key',
  what: string | undefined,
): Promise<ExitCode> {
  if (verb === 'receipt' && !/^\d+$/.test(needed(verb, what)))
    throw new Failure('expected the index of an entry', 'countersign audit recent', exitCodes.usage)
  const api = await operators()
  if (verb === 'key') {
    const status = await api.get('/v1/status')
    const vkey = isJsonObject(status['log']) ? say(status['log']['vkey']) : ''
    print(terminal, { vkey }, () => [vkey])
    return exitCodes.done
  }
  const path =
    verb === 'checkpoint'
      ? '/v1/audit/checkpoint'
      : `/v1/audit/entries/${encodeURIComponent(needed(verb, what))}/receipt`
  const answer = await api.get(path)
  print(terminal, answer, () => [say(answer[verb === 'checkpoint' ? 'text' : 'receipt']).trimEnd()])
  return exitCodes.done
}

async function exported({ operators, terminal }: Invocation, name: string): Promise<ExitCode> {
  const answer = await (await operators()).send('POST', '/v1/audit/export', { name })
  print(terminal, answer, () => [`${say(answer['size'])} entries in ${say(answer['directory'])}`])
  return exitCodes.done
}

/** One line an entry: index, time, kind, who, what, how it ended. */
export function row({ index, entry }: JsonObject): readonly string[] {
  const one = isJsonObject(entry) ? entry : {}
  const who = isJsonObject(one['who']) ? say(one['who']['name']) : say(one['by'])
  const what = isJsonObject(one['what']) ? say(one['what']['tool']) : say(one['subject'] ?? one['wanted'])
  const end = say(one['outcome'] ?? one['code'] ?? one['act'])
  return [
    say(index),
    say(one['at']).slice(0, 19),
    say(one['kind']),
    visible(who),
    visible(what),
    end,
    say(one['call']),
  ]
}

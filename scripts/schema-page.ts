import { readFileSync, writeFileSync } from 'node:fs'
import { checksum, spell, sqlite } from '../src/store/migrate.ts'
import { migrations } from '../src/store/migrations.ts'

/** Writes docs/reference/schema.md from the migrations; with `--check`, says whether it is up to date. */

const page = new URL('../docs/reference/schema.md', import.meta.url)

/** What each table is for. The parity test asks for a line per table. */
export const tables: { readonly [table: string]: string } = {
  agents: 'Workload identities as registered, with their public keys.',
  asks: 'Questions to people and their answers. Holds exact arguments; erased with their payload or by age once closed.',
  brokers: 'When each incarnation of a broker was last seen alive.',
  calls: 'One row for each intent; `outcome` is null while the call is in flight.',
  checkpoint: 'The newest signed checkpoint of the log.',
  entries:
    'The log. `idx` is contiguous from 0, `bytes` canonical JSON, `leaf` SHA-256(0x00 ‖ bytes) (RFC 6962). `kind`, `call`, `task`, `agent` and `at` are copies for look-ups.',
  flow: 'Rows that are only added, numbered per scope: values that a task has met (`task:ID`, keyed digests with how far they are vouched for), what the agents of a person have done (`person:NAME`), what tainted tasks have written (`sinks`). Thrown away after 31 and 90 days.',
  heads:
    'Counters that move with every change of what nodes keep in memory: `registry`, `policies`, `revocations`. The commit point compares them.',
  held: 'Calls as they arrived, while a person may still answer their ask.',
  leases: 'Credentials lent and not yet taken back; names of secrets only.',
  memories: "What an agent's tasks remember together: fingerprints of calls whose outcome is unknown.",
  payloads: 'Arguments and results beside the log, each with the salt of its commitment. Erasable.',
  proofs: "Proofs of agents' keys that were used and have not run out, by their digests: each counts once.",
  revocations: 'What is revoked now, by key.',
  secrets: 'Sealed bytes. The key is not in the store.',
  servers: 'Servers as registered and the last view of what they offer; no secrets.',
  settings: 'Small named values.',
  tasks:
    'Tasks, with the parts that move: labels, usage, history, and the revisions that the commit point compares.',
  tools: 'Tool definitions as seen and as pinned, with their reviews. A removed tool stays as a tombstone.',
}

const code = (sql: string): string => `\`\`\`sql\n${spell(sql, sqlite)};\n\`\`\``

export function render(): string {
  const purposes = Object.entries(tables).map(([table, purpose]) => `| \`${table}\` | ${purpose} |`)
  const versions = migrations.map(({ version, about, sql, ...rest }) =>
    [
      `## Schema ${version}: ${about}`,
      `Checksum \`${checksum({ version, about, sql, ...rest })}\`.`,
      ...sql.map(code),
    ].join('\n\n'),
  )
  return `${[
    '# The schema of the store',
    'Made from `src/store/migrations.ts` by `scripts/schema-page.ts`; do not edit. As SQLite gets it.',
    'Migrations go forward only. Each is applied in one transaction and kept in the table `migrations` with its checksum. A store with a version that the program does not know, or with another checksum, is refused. Times are milliseconds since the epoch; JSON is kept as text.',
    ['| table | holds |', '|---|---|', ...purposes].join('\n'),
    ...versions,
  ].join('\n\n')}\n`
}

if (import.meta.main) {
  if (!process.argv.includes('--check')) writeFileSync(page, render())
  else if (readFileSync(page, 'utf8') !== render()) {
    console.error(
      'error: docs/reference/schema.md is not what the migrations say\nhint: node scripts/schema-page.ts',
    )
    process.exitCode = 1
  }
}

import { loadConfig } from '../src/config/load.ts'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { startBroker } from '../src/broker.ts'
import { startPlayground } from '../examples/servers/playground.ts'
import { tmpdir } from 'node:os'
import type { LiveRegistry } from '../src/registry/live.ts'

/**
 * Writes the reviews of the quick start anew: lists the three servers, accepts what they offer with the inferred effects,
 * and exports the pins. Look at the diff before you commit it: this is the review.
 */
/** Where the reviewer decides otherwise than what was inferred, and why. */
const decided: { readonly [tool: string]: Parameters<LiveRegistry['review']>[0]['overrides'] } = {
  // They change a file's content; removing files is what `move_file` can do (it overwrites nothing, but takes away).
  'filesystem/write_file': { effects: ['write'] },
  'filesystem/edit_file': { effects: ['write'] },
  // It waits and reports progress; the verb in its name says more than it does.
  'everything/trigger-long-running-operation': { effects: ['read'] },
  // It asks the person in front of the client and repeats the answer.
  'everything/trigger-elicitation-request': { effects: ['read'] },
  'everything/simulate-research-query': { effects: ['read'] },
  'everything/gzip-file-as-resource': { effects: ['read', 'egress'] },
  'playground/ask_me': { effects: ['read'] },
  'playground/payment_send': { effects: ['spend', 'egress'] },
}

const folder = resolve(import.meta.dirname, '../examples/quickstart')
await mkdir(resolve(import.meta.dirname, '../quickstart-files'), { recursive: true })
const home = await mkdtemp(join(tmpdir(), 'countersign-review-'))
const playground = await startPlayground({ port: 7318 })
const loaded = loadConfig(join(folder, 'countersign.jsonc'))
const servers = Object.fromEntries(
  Object.entries(loaded.config.servers).map(([name, server]) => [name, { ...server, reviewed: undefined }]),
)
const broker = await startBroker(
  { ...loaded, config: { ...loaded.config, home, servers: JSON.parse(JSON.stringify(servers)) } },
  { ports: { agents: 0, operators: 0 }, onFault: (fault) => process.stderr.write(`${String(fault)}\n`) },
)
try {
  const problems = await broker.listed
  if (Object.keys(problems).length > 0) throw new Error(JSON.stringify(problems))
  const by = { name: 'quickstart', proof: 'terminal' }
  for (const tool of broker.core.registry.tools({ state: 'quarantined' })) {
    const reviewed = await broker.core.registry.review({
      id: tool.id,
      digest: tool.digest,
      overrides: decided[tool.id] ?? {},
      by,
    })
    if (!reviewed.ok) throw new Error(reviewed.detail)
    process.stdout.write(
      `${tool.id}  ${reviewed.review.effects.join(' ')}  ${reviewed.review.confidentiality} ${reviewed.review.integrity}\n`,
    )
    for (const finding of tool.findings) process.stdout.write(`  ${finding.severity}: ${finding.message}\n`)
  }
  for (const server of broker.core.registry.servers()) {
    const text = `${JSON.stringify(broker.core.registry.exportReviewed(server), null, 2)}\n`
    await writeFile(join(folder, 'reviewed', `${server}.json`), text)
  }
} finally {
  await broker.close()
  await playground.close()
  await rm(home, { recursive: true })
}

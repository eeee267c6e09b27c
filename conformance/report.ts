import type { Lost } from './compare.ts'
import type { Result } from './run.ts'

/** For people. */
export function reportAsText({ suite, sets, cross, client, real }: Result): string {
  const lines = [`MCP conformance suite ${suite}`, '']
  const rows = sets.map(({ requirements, direct, through, lost, scored }) => [
    requirements,
    String(direct),
    String(through),
    `${scored.through} of ${scored.of}`,
    String(lost.length),
  ])
  if (rows.length > 0)
    lines.push(...table([['requirements', 'direct', 'through', 'scored', 'lost'], ...rows]), '')
  for (const { requirements, lost, quiet } of sets) {
    lines.push(...lost.map((one) => `  lost ${requirements} ${shown(one)}`))
    lines.push(...quiet.map((id) => `  optional, not exercised ${requirements} ${id}`))
  }
  const crossed = cross.map((one) => [
    one.client,
    one.server,
    String(one.direct),
    String(one.through),
    String(one.lost.length),
    String(one.excepted.length),
  ])
  if (crossed.length > 0)
    lines.push('', ...table([['client', 'server', 'direct', 'through', 'lost', 'inherent'], ...crossed]), '')
  for (const one of cross) {
    lines.push(...one.lost.map((lost) => `  lost ${one.client} to ${one.server}: ${shown(lost)}`))
    lines.push(...one.excepted.map(({ id, reason }) => `  inherent: ${id}: ${reason}`))
  }
  if (client !== null) {
    lines.push(
      '',
      `the broker as a client: ${client.passed} scenarios passed, ${client.failed.length} checks failed`,
    )
    lines.push(...client.failed.map((one) => `  failed ${one.revision} ${one.scenario} ${shown(one)}`))
    for (const [reason, scenarios] of Object.entries(client.unconcerned))
      lines.push(`  ${scenarios.length} not run: ${reason}`)
  }
  if (real !== null) {
    lines.push('', `real clients and servers: ${real.passed.length} passed, ${real.failed.length} failed`)
    lines.push(...Object.entries(real.versions).map(([name, version]) => `  ${name} ${version}`))
    lines.push(...real.passed.map((name) => `  passed ${name}`))
    lines.push(...real.failed.map(({ name, problem }) => `  failed ${name}: ${problem}`))
    lines.push(...real.skipped.map(({ name, reason }) => `  not run ${name}: ${reason}`))
  }
  return `${lines.join('\n')}\n`
}

const shown = ({ id, status, message }: Lost): string =>
  `${id} (${status}${message === '' ? '' : `: ${message.slice(0, 300)}`})`

function table(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  )
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}

import { findingKinds } from '../src/audit/fsck/finding.ts'
import { coded, makePage, tableOf, type Page } from './pages.ts'

/** Writes docs/reference/findings.md from the codes of `audit fsck`; with `--check`, says whether it is up to date. */

function render(): string {
  const rows = Object.entries(findingKinds).map(([code, { means, todo }]) => [coded(code), means, todo])
  return `${[
    '# What `audit fsck` can find',
    'Made from `src/audit/fsck/finding.ts` by `scripts/findings-page.ts`; do not edit.',
    '`countersign audit fsck` reads the whole store and the whole log on one snapshot and changes nothing, whether or not the broker runs. It plays the log again from the first entry and compares what that leads to with what the store holds: neither is believed. Codes are stable; `--json` gives each finding with its code, what was found, where (index, call, task, name), and what to do. The exit code is 5 when anything was found.',
    'Intents without an outcome are no finding: they are shown apart, those of a broker that runs as in flight, the others as waiting for the next start, which settles them as `unknown`. So are credentials that a broker which has ended had lent.',
    tableOf(['code', 'means', 'what to do'], rows),
  ].join('\n\n')}\n`
}

export const findingsPage: Page = { name: 'findings.md', from: 'scripts/findings-page.ts', render }

if (import.meta.main) await makePage(findingsPage)

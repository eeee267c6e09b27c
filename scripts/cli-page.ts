import { commands, usageOf } from '../src/cli/main.ts'
import { exitCodes } from '../src/cli/output.ts'
import { coded, makePage, tableOf, type Page } from './pages.ts'

/** Writes docs/reference/cli.md from the commands; with `--check`, says whether it is up to date. */

/** What each exit code means. The parity test asks for a line per code. */
export const meanings: { readonly [Name in keyof typeof exitCodes]: string } = {
  done: 'done',
  failed: 'failed; `error:` says what was expected, `hint:` what to do',
  usage: 'wrong usage: an unknown command, option or word, or a value that does not fit',
  unreachable: 'the broker is not running, and the command needs one that does',
  denied: 'denied or refused, or it waits for a person',
  unverified:
    '`audit verify` found that the log does not verify, or `audit fsck` that something does not hold',
  interrupted: 'interrupted',
}

async function render(): Promise<string> {
  const sections = await Promise.all(
    Object.entries(commands).map(async ([name, { summary, load }]) => {
      const command = await load()
      const lines = usageOf(command).slice(0, -2)
      return [
        `## ${name}`,
        `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`,
        `\`\`\`\n${lines.join('\n')}\n\`\`\``,
      ].join('\n\n')
    }),
  )
  const rows = Object.entries(exitCodes).map(([name, code]) => [String(code), meaningOf(name)])
  return `${[
    '# The command line',
    'Made from `src/cli/` by `scripts/cli-page.ts`; do not edit.',
    'In a clone, `npm run countersign -- COMMAND …` runs it on the right Node. Everywhere:',
    tableOf(
      ['option', 'means'],
      [
        [
          coded('--home DIR'),
          'the folder of store, keys and log. Left out: what the configuration says, else `COUNTERSIGN_HOME`, else `~/.countersign`',
        ],
        [
          coded('--config FILE'),
          'the [configuration](config.md). Left out: what `COUNTERSIGN_CONFIG` names, else `countersign.jsonc` in the home folder, when there is one',
        ],
        [
          coded('--url URL'),
          "of `connect` and `token`: the agents' listener of a broker elsewhere. Left out: what `COUNTERSIGN_URL` names, else the broker that runs in the home folder",
        ],
        [coded('--json'), 'one JSON value on stdout instead of lines for people, also for an error'],
        [coded('--help'), 'how the command is used'],
      ],
    ),
    "Results go to stdout, everything else to stderr. Commands speak to the broker that runs in the home folder; when none runs they open its store themselves for as long as they take. What gives authority (a review, an agent, a policy, an approval) asks for the operator's passphrase on a terminal; what takes authority away never does.",
    '## Exit codes',
    tableOf(['code', 'means'], rows),
    ...sections,
  ].join('\n\n')}\n`
}

const meaningOf = (name: string): string =>
  Object.entries(meanings).find(([known]) => known === name)?.[1] ?? ''

export const cliPage: Page = { name: 'cli.md', from: 'scripts/cli-page.ts', render }

if (import.meta.main) await makePage(cliPage)

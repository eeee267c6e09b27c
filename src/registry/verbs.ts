import type { Effect } from './tool.ts'

/**
 * Verbs of tool names and what they do to the world. `firm` verbs are never nouns and count wherever they stand;
 * `loose` words are as often nouns (`get_commit`, `list_orders`) and count only where a verb stands: first, or last
 * as in `pods_delete`, and not behind a verb that reads.
 */
type Verbs = { readonly [word: string]: readonly Effect[] }

const each = (words: string, ...effects: readonly Effect[]): Verbs =>
  Object.fromEntries(words.split(' ').map((word) => [word, effects]))

const reading: Verbs = {
  ...each(
    'get list read search find show describe view count stat stats info status lookup check inspect diff history tree head tail whoami compare summarize summarise preview retrieve explain validate verify analyze analyse query select scan detect discover calculate compute convert parse format decode encode echo ping help schema resolve suggest recommend think estimate measure monitor watch poll wait filter sort exists fetch browse ls cat grep glob top screenshot snapshot logs',
    'read',
  ),
}

const firm: Verbs = {
  ...each(
    'create add insert update edit write modify rename replace append save upsert assign unassign enable disable toggle register unregister configure overwrite prepend generate apply annotate attach detach resize increment decrement lock unlock pin unpin mute unmute rebase ensure',
    'write',
  ),
  ...each(
    'delete remove drop destroy purge erase truncate wipe unlink uninstall revoke evict prune drain rm rmdir del terminate reset revert rollback',
    'write',
    'delete',
  ),
  ...each('send publish upload notify broadcast tweet retweet submit', 'write', 'egress'),
  ...each('navigate scrape crawl goto', 'read', 'egress'),
  ...each(
    'execute exec eval invoke spawn shell bash terminal install deploy restart reboot kill',
    'execute',
    'write',
  ),
  ...each('pay purchase buy payout withdraw', 'write', 'spend'),
}

const loose: Verbs = {
  ...each(
    'set put patch init initialize move copy cp mv mkdir touch merge commit close open reopen label tag mark comment react star fork branch release import sync archive restore backup transform log record note start stop pause resume schedule book assign approve reject click type fill press drag hover select scale cordon uncordon rollout expose rerun',
    'write',
  ),
  ...each('clear cancel trash expire close void', 'write', 'delete'),
  ...each(
    'post reply email mail message share forward invite push export webhook dm sms call request download',
    'write',
    'egress',
  ),
  ...each('trigger launch run command script code sql job build test', 'execute', 'write'),
  ...each('charge refund transfer order checkout subscribe invoice trade payment finalize', 'write', 'spend'),
  ...each('http url web crawl', 'read', 'egress'),
}

/** What a verb that writes does through its noun: `create_refund` spends, `add_message` reaches somebody. */
const nouns: Verbs = {
  ...each(
    'refund transfer payout charge payment order checkout trade subscription purchase withdrawal',
    'spend',
  ),
  ...each(
    'message messages email mail sms tweet post comment reply notification invite invitation webhook gist',
    'egress',
  ),
}
export const nounEffects = (word: string): readonly Effect[] =>
  Object.hasOwn(nouns, word) ? (nouns[word] ?? []) : []

/** A tool with one of these in its name carries its arguments to the outside, also when it only reads. */
export const outside: ReadonlySet<string> = new Set([
  'web',
  'internet',
  'online',
  'google',
  'bing',
  'http',
  'https',
  'url',
])

export type Word = 'reading' | 'firm' | 'loose' | null

/** Which list a word is in, and its effects there; firm verbs before loose ones. */
export function verb(word: string): { readonly kind: Word; readonly effects: readonly Effect[] } {
  if (Object.hasOwn(firm, word)) return { kind: 'firm', effects: firm[word] ?? [] }
  if (Object.hasOwn(reading, word)) return { kind: 'reading', effects: reading[word] ?? [] }
  if (Object.hasOwn(loose, word)) return { kind: 'loose', effects: loose[word] ?? [] }
  return { kind: null, effects: [] }
}

/** `createPullRequest`, `create-pull-request` and `create_pull_request` are the same three words; `HTTPGet` is two. */
export const tokens = (name: string): readonly string[] =>
  name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replace(/([A-Z])([A-Z][a-z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== '')

/** `Deletes`, `deleted`, `deleting` → `delete`, where that is a firm verb; else null. */
export function firmStem(word: string): string | null {
  const stems = [
    word,
    ...endings.flatMap(([ending, instead]) =>
      word.endsWith(ending) ? [word.slice(0, -ending.length) + instead] : [],
    ),
  ]
  return stems.find((stem) => Object.hasOwn(firm, stem)) ?? null
}

const endings: readonly (readonly [string, string])[] = [
  ['s', ''],
  ['es', ''],
  ['ies', 'y'],
  ['ing', ''],
  ['ing', 'e'],
]

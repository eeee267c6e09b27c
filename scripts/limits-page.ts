import { coded, makePage, tableOf, type Page } from './pages.ts'
import { readFileSync } from 'node:fs'

/** Writes docs/guides/limits.md; with `--check`, says whether it is up to date. Every number is read from the sources. */

type Unit = 'count' | 'bytes' | 'ms' | 's' | 'characters' | 'share'
/** `name` is the constant, member or default in `file` whose number it is; `key` the configuration's, where there is one. */
export type Limit = {
  readonly what: string
  readonly file: string
  readonly name: string
  readonly unit: Unit
  readonly beyond: string
  readonly key?: string
}

const listener = 'src/door/listener.ts'
const door = 'src/door/mcp/ports.ts'
const config = 'src/config/schema.ts'
const later = '`503` with `Retry-After`'

export const connections: readonly Limit[] = [
  { what: 'connections to the agents\' listener', file: listener, name: 'connections', unit: 'count', key: 'load.connections', beyond: `the one that has waited the longest without a request, or with half a request of a stranger, is cut; when none is, the new one is told ${later} and closed` },
  { what: 'of them from one address', file: listener, name: 'perRemote', unit: 'count', key: 'load.perAddress', beyond: 'the same, among the connections of that address' },
  { what: 'connections that are being told to come back', file: 'src/door/crowd.ts', name: 'turnedAwayAtOnce', unit: 'count', beyond: 'closed as they come' },
  { what: 'requests under way on one connection', file: listener, name: 'pipelined', unit: 'count', beyond: 'the connection is closed' },
  { what: 'headers of a request', file: listener, name: 'headerBytes', unit: 'bytes', beyond: '`431`' },
  { what: 'time for the headers to arrive', file: listener, name: 'headersMs', unit: 'ms', beyond: '`408`, and the connection is closed' },
  { what: 'time for the whole request to arrive', file: listener, name: 'requestMs', unit: 'ms', beyond: 'the connection is closed' },
  { what: 'idle connection', file: listener, name: 'idleMs', unit: 'ms', beyond: 'closed' },
  { what: 'body of a request', file: listener, name: 'bodyBytes', unit: 'bytes', beyond: '`413`' },
  { what: 'body of somebody who has not proven who they are', file: listener, name: 'strangerBodyBytes', unit: 'bytes', beyond: '`401`, unread; `413` at `/token`' },
  { what: 'bodies of strangers together', file: listener, name: 'strangersBytes', unit: 'bytes', beyond: `\`401\` at \`/mcp\`, ${later} at \`/token\`` },
  { what: 'bodies of one agent under way', file: listener, name: 'bodiesBytesEach', unit: 'bytes', beyond: later },
  { what: 'bodies of all agents under way', file: listener, name: 'bodiesBytes', unit: 'bytes', beyond: `${later}; an agent that holds none still gets one body's worth` },
  { what: 'answers of one agent that it has not read', file: listener, name: 'unreadBytesEach', unit: 'bytes', beyond: 'its oldest unread answer is cut; the outcome is in the log already' },
  { what: 'answers of all that were not read', file: listener, name: 'unreadBytes', unit: 'bytes', beyond: 'the same, of whoever holds the most' },
  { what: 'a reader that takes nothing of its answer', file: listener, name: 'stalledMs', unit: 'ms', beyond: 'the connection is closed (a stream: four times as long)' },
  { what: 'unread messages of one stream', file: 'src/door/exchange.ts', name: 'unreadBytes', unit: 'bytes', beyond: 'the stream is closed' },
] // prettier-ignore

export const requests: readonly Limit[] = [
  { what: 'requests of one agent under way', file: door, name: 'atOncePerAgent', unit: 'count', key: 'load.requestsPerAgent', beyond: '`429` with `Retry-After` and `too-many-calls`; it is not looked at, and counted as a refusal. Cancels and answers to a server\'s questions always pass' },
  { what: 'requests of all agents under way', file: door, name: 'atOnce', unit: 'count', key: 'load.requests', beyond: `${later} and \`too-many-calls\`` },
  { what: 'requests that an agent gets even then', file: door, name: 'atOnceLeast', unit: 'count', beyond: 'as above' },
  { what: 'calls held for people', file: door, name: 'heldAtOnce', unit: 'count', beyond: 'not held: the agent is told at once that the call waits, and how to resume it' },
  { what: 'time that one leg is held', file: config, name: 'holdSeconds', unit: 's', key: 'approvals.holdSeconds', beyond: 'the agent is told to come back' },
  { what: 'asks of one agent that wait for people', file: config, name: 'pendingPerAgent', unit: 'count', key: 'approvals.pendingPerAgent', beyond: 'refused: `too-many-asks`' },
  { what: 'equal calls kept for one ask', file: 'src/store/verbs/calls.ts', name: 'mostHeld', unit: 'count', beyond: 'older ones are forgotten; the first and the newest stay' },
  { what: 'sessions of one agent (MCP before 2026-07-28)', file: door, name: 'sessionsPerAgent', unit: 'count', beyond: 'its oldest session at rest ends; when none rests, `429`' },
  { what: 'sessions of all', file: door, name: 'sessions', unit: 'count', beyond: later },
  { what: 'a session at rest', file: door, name: 'sessionIdleMs', unit: 'ms', beyond: 'ended' },
  { what: 'streams of one agent', file: door, name: 'streamsPerAgent', unit: 'count', beyond: '`429` with `Retry-After`' },
  { what: 'streams of all', file: door, name: 'streams', unit: 'count', beyond: later },
  { what: 'characters kept for broken streams, of one session', file: 'src/door/mcp/journal.ts', name: 'mostOfOne', unit: 'characters', beyond: 'the oldest are forgotten: what was on them cannot be fetched again' },
  { what: 'characters kept for broken streams, of all', file: 'src/door/mcp/journal.ts', name: 'mostInAll', unit: 'characters', beyond: 'the same' },
  { what: 'questions of a server to one client at once', file: 'src/door/mcp/elicit.ts', name: 'openAtOnce', unit: 'count', beyond: 'the server is refused' },
  { what: 'rounds in which a server asks for more', file: door, name: 'rounds', unit: 'count', beyond: 'the call ends: `too-many-legs`' },
  { what: 'entries in one page of a list', file: door, name: 'pageSize', unit: 'count', beyond: 'the next page' },
  { what: 'numbers of progress passed on at once', file: 'src/door/mcp/reply.ts', name: 'burst', unit: 'count', beyond: 'those in between are left out' },
  { what: 'numbers of progress passed on a minute', file: 'src/door/mcp/reply.ts', name: 'perMinute', unit: 'count', beyond: 'the same' },
  { what: 'calls of one agent that take turns', file: 'src/call/turns.ts', name: 'mostWaiting', unit: 'count', beyond: 'refused: `too-much-movement`' },
] // prettier-ignore

export const tasks: readonly Limit[] = [
  { what: 'open tasks of one agent', file: 'src/task/tasks.ts', name: 'mostOpen', unit: 'count', beyond: '`/token` answers `429` with `Retry-After`' },
  { what: 'levels of sub-tasks', file: 'src/task/tasks.ts', name: 'deepest', unit: 'count', beyond: 'refused' },
  { what: 'tasks listed, or ended in one sweep', file: 'src/store/verbs/tasks.ts', name: 'maxListed', unit: 'count', beyond: 'the newest are listed; the next sweep, a second later, goes on' },
  { what: 'unknown outcomes remembered of one agent', file: 'src/store/verbs/line.ts', name: 'maxUnknown', unit: 'count', beyond: 'reads are forgotten first; once a write is, every write of that agent asks' },
  { what: 'a token', file: 'src/identity/verify.ts', name: 'largestToken', unit: 'characters', beyond: '`401`' },
  { what: 'verified tokens kept', file: 'src/identity/verify.ts', name: 'cacheSize', unit: 'count', beyond: 'the least recently used is verified anew' },
] // prettier-ignore

export const records: readonly Limit[] = [
  { what: 'entries of refusals of one agent at once', file: 'src/audit/flood.ts', name: 'burst', unit: 'count', beyond: 'counted, and written as one entry a minute with their number' },
  { what: 'entries of refusals of one agent a second', file: 'src/audit/flood.ts', name: 'perSecond', unit: 'count', beyond: 'the same' },
  { what: 'kinds of refusals counted apart', file: 'src/audit/flood.ts', name: 'most', unit: 'count', beyond: 'counted together' },
  { what: 'arguments kept of a refused call', file: 'src/call/record.ts', name: 'keptBytes', unit: 'bytes', beyond: 'committed to, and not kept' },
  { what: 'changes that wait for the writer', file: 'src/store/sqlite.ts', name: 'maxQueued', unit: 'count', beyond: 'nothing new begins: calls are refused with `audit-unavailable`, tokens and operators get `503`' },
  { what: 'their bytes', file: 'src/store/sqlite.ts', name: 'maxQueuedBytes', unit: 'bytes', beyond: 'the same' },
  { what: 'of both, on top, for what ends something: outcomes, ends of tasks, revocations, answers, heartbeats', file: 'src/store/pending.ts', name: 'keptForEndings', unit: 'share', beyond: 'an outcome is owed, and its answer withheld' },
  { what: 'changes in one transaction', file: 'src/store/jobs.ts', name: 'maxBatch', unit: 'count', beyond: 'the next one' },
  { what: 'a writer that gives no answer', file: 'src/store/sqlite.ts', name: 'answerMs', unit: 'ms', beyond: 'taken for dead: nothing is recorded, so nothing is done, until the next start' },
  { what: 'a PostgreSQL database that gives no answer', file: config, name: 'answerMs', unit: 'ms', key: 'store.answerMs', beyond: 'calls are refused with `audit-unavailable`, and each of the next tries again' },
  { what: 'outcomes owed', file: 'src/call/recover.ts', name: 'maxOwed', unit: 'count', beyond: 'only their number is kept, in a gap entry; the next start settles them' },
  { what: 'calls watched for revocations', file: 'src/revocation/live.ts', name: 'mostWatchers', unit: 'count', beyond: 'a call is aborted before it is sent' },
  { what: 'entries read at once', file: 'src/store/verbs/log.ts', name: 'maxRead', unit: 'count', beyond: 'the next page' },
] // prettier-ignore

const server = 'src/server/servers.ts'
export const servers: readonly Limit[] = [
  { what: 'an answer', file: config, name: 'callMs', unit: 'ms', key: 'servers.NAME.limits.callMs', beyond: 'given up: `unknown` (timeout); the server is told, its place is free' },
  { what: 'a start or a connection', file: config, name: 'connectMs', unit: 'ms', key: 'servers.NAME.limits.connectMs', beyond: '`not-sent` (unreachable)' },
  { what: 'a result', file: config, name: 'resultBytes', unit: 'bytes', key: 'servers.NAME.limits.resultBytes', beyond: 'cut at once and never held: `unknown` (too-large); the outcome is recorded' },
  { what: 'calls of one server under way', file: config, name: 'concurrency', unit: 'count', key: 'servers.NAME.limits.concurrency', beyond: 'they wait in a short queue' },
  { what: 'one place of so many is for agents that hold few', file: 'src/server/gate.ts', name: 'keptOneIn', unit: 'count', beyond: 'agents that hold many wait' },
  { what: 'that queue, as a multiple (one agent: half of it)', file: 'src/server/gate.ts', name: 'queueFactor', unit: 'count', beyond: '`not-sent` (busy)' },
  { what: 'time in that queue', file: server, name: 'queueMs', unit: 'ms', beyond: '`not-sent` (busy)' },
  { what: 'processes or sessions of one server', file: server, name: 'connections', unit: 'count', beyond: 'the one that has rested the longest makes room, of whoever has the most; when none rests, `not-sent` (busy). One agent gets three quarters. As many again may be ending' },
  { what: 'an unused process or session', file: server, name: 'idleMs', unit: 'ms', beyond: 'ended' },
  { what: 'calls of one server that stand still for a person', file: server, name: 'parked', unit: 'count', beyond: 'its question is cancelled' },
  { what: 'how long they do', file: server, name: 'parkedMs', unit: 'ms', beyond: 'the call is given up' },
  { what: 'bytes that a program has not read', file: 'src/server/process.ts', name: 'maxUnreadBytes', unit: 'bytes', beyond: '`not-sent` (unreachable)' },
  { what: 'what a program writes that no call accounts for, a second', file: 'src/server/stdio.ts', name: 'noisePerSecond', unit: 'bytes', beyond: 'it is not read until the next second' },
  { what: 'the same between two answers, in largest answers', file: 'src/server/stdio.ts', name: 'noiseFactor', unit: 'count', beyond: 'the program is ended; its calls are `unknown`' },
  { what: 'error output kept of a program', file: 'src/server/process.ts', name: 'stderrBytes', unit: 'bytes', beyond: 'the oldest is forgotten' },
  { what: 'pages of a list', file: 'src/server/catalogue.ts', name: 'maxPages', unit: 'count', beyond: 'the list is no list: nothing of the server can be called' },
  { what: 'entries of a list', file: 'src/server/catalogue.ts', name: 'maxEntries', unit: 'count', beyond: 'the same' },
  { what: 'bytes of a list', file: 'src/server/catalogue.ts', name: 'maxListBytes', unit: 'bytes', beyond: 'the same' },
  { what: 'tools, prompts, templates, roots of one server', file: 'src/registry/define.ts', name: 'count', unit: 'count', beyond: 'the rest is left out, and the operator is told' },
  { what: 'their definitions together', file: 'src/registry/define.ts', name: 'totalChars', unit: 'characters', beyond: 'the same' },
  { what: 'of them remembered, withdrawn ones included', file: 'src/registry/steady.ts', name: 'mostUnits', unit: 'count', beyond: 'the server is left alone: what it changes is withheld' },
  { what: 'changes of definitions at once', file: 'src/registry/steady.ts', name: 'changesAtOnce', unit: 'count', beyond: 'the same, until it has come to rest' },
  { what: 'changes of definitions a minute, in the long run', file: 'src/registry/steady.ts', name: 'changesPerMinute', unit: 'count', beyond: 'the same' },
  { what: 'entries of a list that may be listed at any time', file: 'src/server/link.ts', name: 'shortList', unit: 'count', beyond: 'a longer one rests a millisecond an entry; a change announced meanwhile makes calls `not-sent` (busy)' },
  { what: 'changes written in one turn of the registry', file: 'src/registry/turns.ts', name: 'batch', unit: 'count', beyond: 'the next turn; calls go on in between' },
  { what: 'resources watched for one task', file: 'src/server/subscribe.ts', name: 'maxPerTask', unit: 'count', beyond: 'the subscription is refused' },
  { what: 'resources watched in all', file: 'src/server/subscribe.ts', name: 'maxInAll', unit: 'count', beyond: 'the same' },
] // prettier-ignore

export const groups: { readonly [heading: string]: readonly Limit[] } = {
  'Connections and bytes': connections,
  'Requests, sessions, streams': requests,
  'Tasks and tokens': tasks,
  'What is recorded': records,
  'Servers and what they offer': servers,
}

const root = new URL('../', import.meta.url)

/** The number behind a limit. Throws when the sources have no such name: then the page is wrong, or the limit is gone. */
export function numberOf({ file, name }: Pick<Limit, 'file' | 'name'>): number {
  const text = readFileSync(new URL(file, root), 'utf8')
  const zod = new RegExp(`\\b${name}:\\s*(?:z|milliseconds)\\b[^]*?\\.default\\(([^()]+)\\)`).exec(text)?.[1]
  const plain = new RegExp(
    `\\b${name}(?:\\??:\\s*number)?\\s*(?:=|:|\\?\\?)\\s*([0-9][0-9_ */.]*(?:mebibyte)?)`,
  ).exec(text)?.[1]
  const found = file === config ? zod : plain
  if (found === undefined) throw new Error(`expected \`${name}\` with a number in ${file}`)
  return found
    .replaceAll('_', '')
    .replace('mebibyte', String(1024 * 1024))
    .split('*')
    .reduce((product, factor) => product * Number(factor.trim()), 1)
}

export function shown({ unit, ...limit }: Limit): string {
  const value = numberOf(limit)
  switch (unit) {
    case 'bytes':
      return sized(value)
    case 'characters':
      return `${spaced(value)} characters`
    case 's':
      return `${value} s`
    case 'ms':
      return value >= 60_000 && value % 60_000 === 0 ? `${value / 60_000} min` : `${value / 1000} s`
    case 'share':
      return `${value * 100} %`
    case 'count':
      return spaced(value)
  }
}

const spaced = (value: number): string => value.toLocaleString('en').replaceAll(',', ' ')

function sized(value: number): string {
  if (value % (1024 * 1024) === 0) return `${value / (1024 * 1024)} MiB`
  return value % 1024 === 0 ? `${value / 1024} KiB` : spaced(value)
}

const sourceOf = ({ file, name, key }: Limit): string =>
  key === undefined ? `${coded(name)} in [${file.slice('src/'.length)}](../../${file})` : coded(key)

function render(): string {
  const tables = Object.entries(groups).flatMap(([heading, limits]) => [
    `## ${heading}`,
    tableOf(
      ['limit', 'default', 'beyond it', 'set by'],
      limits.map((limit) => [limit.what, shown(limit), limit.beyond, sourceOf(limit)]),
    ),
  ])
  return `${[
    '# Limits',
    'Made by `scripts/limits-page.ts` from the sources; do not edit. Limits that name a configuration key are yours to change; the others are constants.',
    ...before,
    ...tables,
    ...after,
  ].join('\n\n')}\n`
}

const before = [
  'A broker stands where everything passes, so whoever can make it stop stops everything; and one that lets go of a check when it is busy is worth nothing. Hence three rules.',
  "- **Nothing grows without a bound.** Each queue, cache and table in memory has one, below. What a peer sends is counted in bytes before it is kept, and copied into one place: a body or an answer that comes byte by byte costs its own size.\n- **What is full refuses, and says when to come back.** HTTP `429` when you have too much under way yourself, `503` when all have, both with `Retry-After` and a JSON-RPC error that says what to do. A call that was begun is never dropped silently: it is settled, and what was recorded stays.\n- **Nobody takes it all.** Agents share places and bytes: one agent has a ceiling, and whoever holds little is served even when the rest is taken. Connections of strangers make room for those who have proven who they are. What ends something (an outcome, the end of a task, a revocation) has a part of the writer's queue of its own.",
  'Behind a proxy all agents come from one address: set `load.perAddress` to `load.connections` there, and let the proxy count addresses.',
]

const after = [
  '## What the disk holds',
  'The log grows by two entries a call and is never cut; payloads beside it are erased after `audit.retentionDays`. Rows of closed tasks and settled calls stay. When the disk is full nothing is made that cannot be recorded: calls are refused with `audit-unavailable`, tokens and operators get `503`, and the log can be read. With room again everything goes on without a restart, unless the store itself says that it must be started again.',
  '## How these were found',
  '`test/load` holds a case for each family, each seen to fail with its bound removed. `node scripts/soak.ts` plays the heavier ones: two hundred thousand calls with tasks that open and end, memory measured after garbage collection at intervals; thousands of slow connections; ten thousand tasks; ten thousand tools.',
]

export const limitsPage: Page = { name: '../guides/limits.md', from: 'scripts/limits-page.ts', render }

if (import.meta.main) await makePage(limitsPage)

/**
 * The schema, as the list of its changes. Forward only: a version that has been released is never edited (its
 * checksum is kept in every store and compared at every start), only followed by another.
 *
 * `:int` is a 64-bit whole number, `:bytes` raw bytes; `:strict` ends a table with checked types, `:keyed` one of
 * short rows that is kept in the order of its key besides: engines name these differently.
 * All times are milliseconds since the epoch. JSON is kept as text, written and read by the verbs alone.
 */
export type Migration = { readonly version: number; readonly about: string; readonly sql: readonly string[] }

const log = [
  `create table entries (
  idx :int primary key,
  leaf :bytes not null,
  bytes :bytes not null,
  kind text not null,
  call text,
  task text,
  agent text,
  at :int not null
) :strict`,
  'create index entries_call on entries (call, idx) where call is not null',
  'create index entries_task on entries (task, idx) where task is not null',
  'create index entries_agent on entries (agent, idx) where agent is not null',
  "create index entries_acts on entries (idx) where kind = 'act'",
  "create index entries_refused on entries (idx) where kind = 'refused'",
  `create table payloads (
  commitment text primary key,
  salt :bytes not null,
  bytes :bytes not null,
  kind text not null,
  call text,
  at :int not null
) :strict`,
  'create index payloads_at on payloads (at)',
  `create table checkpoint (
  name text primary key,
  size :int not null,
  text text not null
) :strict`,
  `create table heads (
  name text primary key,
  value :int not null
) :keyed`,
  "insert into heads (name, value) values ('log', 0), ('registry', 0), ('revocations', 0)",
]

const tasks = [
  `create table tasks (
  id text primary key,
  parent text references tasks (id),
  agent text not null,
  owner text not null,
  purpose_class text not null,
  purpose_words text not null,
  environment text not null,
  tools text not null,
  budget text not null,
  opened_at :int not null,
  expires_at :int not null,
  idle_ms :int not null,
  state text not null check (state in ('open', 'closed')),
  closed_at :int,
  closed_because text,
  context text not null,
  labels text not null,
  labels_revision :int not null,
  history_revision :int not null,
  used text not null,
  called text not null,
  refused :int not null,
  in_flight :int not null check (in_flight >= 0),
  last_call_at :int not null
) :strict`,
  'create index tasks_parent on tasks (parent) where parent is not null',
  'create index tasks_agent on tasks (agent, closed_at)',
  "create index tasks_open on tasks (expires_at) where state = 'open'",
  'create index tasks_opened on tasks (opened_at)',
  `create table memories (
  agent text primary key,
  unknown text not null,
  forgotten :int not null,
  revision :int not null
) :strict`,
]

const calls = [
  `create table calls (
  call text primary key,
  chain text not null,
  task text not null references tasks (id),
  agent text not null,
  tool text not null,
  effects text not null,
  fingerprint text not null,
  broker text not null,
  ask text,
  at :int not null,
  outcome text,
  settled_at :int
) :keyed`,
  'create index calls_unsettled on calls (at) where outcome is null',
  `create table asks (
  id text primary key,
  digest text not null,
  call text not null,
  task text not null references tasks (id),
  agent text not null,
  owner text not null,
  tool text not null,
  state text not null check (state in ('pending', 'approved', 'refused', 'expired', 'consumed')),
  asked_at :int not null,
  expires_at :int not null,
  body text not null,
  answers text not null
) :strict`,
  'create index asks_digest on asks (digest, asked_at)',
  'create index asks_task on asks (task)',
  'create index asks_call on asks (call)',
  "create index asks_pending on asks (agent) where state = 'pending'",
  'create index asks_asked on asks (asked_at)',
  `create table held (
  call text primary key,
  task text not null references tasks (id),
  agent text not null,
  ask text not null,
  wanted text not null,
  arguments text not null,
  expires_at :int not null
) :strict`,
  'create index held_expires on held (expires_at)',
]

const registry = [
  `create table agents (
  name text primary key,
  body text not null
) :strict`,
  `create table servers (
  name text primary key,
  body text not null,
  view text
) :strict`,
  `create table tools (
  id text primary key,
  server text not null,
  state text not null check (state in ('reviewed', 'quarantined', 'removed')),
  digest text not null,
  body text not null
) :strict`,
  `create table revocations (
  key text primary key,
  person text not null,
  reason text not null,
  at :int not null
) :keyed`,
]

const rest = [
  `create table secrets (
  name text primary key,
  sealed :bytes not null,
  at :int not null
) :strict`,
  `create table leases (
  id text primary key,
  task text not null,
  call text not null,
  server text not null,
  secrets text not null,
  at :int not null,
  until :int not null
) :keyed`,
  `create table settings (
  name text primary key,
  value text not null
) :strict`,
  `create table brokers (
  broker text primary key,
  seen_at :int not null
) :keyed`,
]

export const migrations: readonly Migration[] = [
  { version: 1, about: 'the first schema', sql: [...log, ...tasks, ...calls, ...registry, ...rest] },
  {
    version: 2,
    about: 'policy sets are followed by every node',
    sql: [
      "insert into heads (name, value) values ('policies', 0)",
      `create table proofs (
  agent text not null,
  digest text not null,
  until :int not null,
  primary key (agent, digest)
) :keyed`,
      "create index tasks_closed on tasks (closed_at) where state = 'closed'",
    ],
  },
  {
    version: 3,
    about: 'what tasks have met, what people have done, what tainted tasks have written',
    sql: [
      `create table flow (
  scope text not null,
  seq :int not null,
  call text not null,
  at :int not null,
  body text not null,
  primary key (scope, seq)
) :keyed`,
      'create index flow_at on flow (at)',
      'alter table tasks add column vouched :int not null default 0',
    ],
  },
]

import { coded, makePage, tableOf, type Page } from './pages.ts'
import { configSchema } from '../src/config/schema.ts'
import { z } from 'zod'

/** Writes docs/reference/config.md from the schema; with `--check`, says whether it is up to date. */

/** Words for the keys that the schema has none for. The parity test asks for words for each key, and no others. */
export const words: { readonly [key: string]: string } = {
  $schema: 'for editors; not read',
  environment:
    'what this broker is, for example `production`: policy judges it, and tasks end when it changes',
  'listen.agents': "address and port of the agents' listener; port 0 takes a free one",
  'listen.operators': "address and port of the operators' listener; port 0 takes a free one",
  'listen.allowedOrigins': 'Origin values accepted; none is accepted otherwise, so that no web page can call',
  'policy.starter':
    'a set that comes with the broker; `guarded` when neither is named. See the [guide](../guides/policy.md)',
  'servers.NAME (program).args': 'its arguments',
  'servers.NAME (program).cwd': 'folder that it runs in, relative to this file',
  'agents.NAME.task.lifetimeMinutes': 'longest life of a task',
  'agents.NAME.task.idleMinutes': 'a task without a call for this long is closed; 0: never',
  'issuers[].issuer': 'exactly the `iss` of its tokens',
  'issuers[].audience': 'what `aud` has to hold',
  'issuers[].algorithms': 'signatures accepted',
  'approvals.legs': 'how often the door holds one waiting call',
  'approvals.pendingPerAgent': 'most calls of one agent that wait for a person at once',
  'audit.checkpointMs': 'how often a checkpoint of the log is signed and published, in milliseconds',
}

/** Headings of the tables, and what stands under each. */
const about: { readonly [path: string]: string } = {
  '': 'The file itself',
  listen: 'The two listeners. Agents cannot reach the second',
  store: 'PostgreSQL for several nodes; SQLite below `home` when left out',
  policy: 'One of the two, or neither',
  servers: 'Tool servers by name, as a program or as an endpoint',
  agents: 'Workload identities by name; each gets a key of its own below `home`',
  issuers: 'Others whose tokens are accepted for agents that are registered here',
  approvals: 'Calls that wait for a person',
  audit: 'The log',
  labels: 'What tasks have read',
  load: 'How much agents may have under way. See the [guide](../guides/limits.md)',
  observe: 'What is told to those who watch. See the [guide](../guides/observe.md)',
}

type Schema = z.core.JSONSchema._JSONSchema & object
type Row = {
  readonly path: string
  readonly key: string
  readonly schema: Schema
  readonly required: boolean
}

const isSchema = (value: unknown): value is Schema => typeof value === 'object' && value !== null

/** Every key with its path; one row each, in the order of the schema. */
export function rows(): readonly Row[] {
  return walk(z.toJSONSchema(configSchema, { io: 'input' }), '')
}

function walk(schema: Schema, path: string): readonly Row[] {
  const inner = Object.entries(schema.properties ?? {}).flatMap(([key, value]) => {
    if (!isSchema(value)) return []
    const at = path === '' ? key : `${path}.${key}`
    const own = {
      path: at,
      key,
      schema: value,
      required: schema.required?.includes(key) === true && value.default === undefined,
    }
    return [own, ...walk(value, at)]
  })
  const each = schema.additionalProperties
  const named = hasKeys(each) ? forms(each, `${path}.NAME`) : []
  const items = isSchema(schema.items) && !Array.isArray(schema.items) ? walk(schema.items, `${path}[]`) : []
  return [...inner, ...named, ...items]
}

/** A server is a program or an endpoint: each form under a name of its own. */
function forms(schema: Schema, path: string): readonly Row[] {
  const all = schema.anyOf?.filter(isSchema) ?? []
  if (all.length === 0) return walk(schema, path)
  return all.flatMap((form) =>
    walk(form, `${path} (${form.properties?.['command'] === undefined ? 'endpoint' : 'program'})`),
  )
}

export const wordsOf = ({ path, schema }: Row): string | undefined => schema.description ?? words[path]

/** Whether it holds keys of its own, directly or in one of its forms. */
const hasKeys = (schema: unknown): schema is Schema =>
  isSchema(schema) && (schema.properties !== undefined || (schema.anyOf?.some(hasKeys) ?? false))

const isTable = ({ schema }: Row): boolean =>
  [schema, schema.additionalProperties, schema.items].some(hasKeys)

/** Keys that hold a value; those that only hold other keys are the headings. */
export const leaves = (): readonly Row[] => rows().filter((row) => !isTable(row))

function typeOf(schema: Schema): string {
  if (schema.enum !== undefined) return schema.enum.map((one) => coded(String(one))).join(', ')
  if (schema.type === 'array') {
    const { items } = schema
    return `list of ${isSchema(items) && !Array.isArray(items) ? typeOf(items) : 'values'}`
  }
  if (schema.type === 'object') {
    const each = schema.additionalProperties
    return `names with ${isSchema(each) ? typeOf(each) : 'values'}`
  }
  if (schema.anyOf !== undefined) return [...new Set(schema.anyOf.filter(isSchema).map(typeOf))].join(' or ')
  if (schema.format === 'uri') return 'URL'
  const below =
    schema.maximum !== undefined && schema.maximum < Number.MAX_SAFE_INTEGER
      ? `, at most ${schema.maximum}`
      : ''
  if (schema.type === 'integer') return `whole number${below}`
  return `${schema.type === 'string' ? 'text' : String(schema.type)}${below}`
}

function cells(row: Row, prefix: string): readonly string[] {
  const { schema, path, required } = row
  const standard = required
    ? '**needed**'
    : schema.default === undefined
      ? ''
      : coded(JSON.stringify(schema.default))
  return [coded(path.slice(prefix.length).replace(/^\./, '')), typeOf(schema), standard, wordsOf(row) ?? '']
}

function section(path: string, heading: string): string {
  const own = leaves().filter((row) =>
    path === ''
      ? !row.path.includes('.') && !row.path.includes('[')
      : row.path.startsWith(path) && row.path !== path,
  )
  const groups = Map.groupBy(own, (row) => prefixOf(row.path, path))
  const tables = [...groups].map(([prefix, all]) =>
    [
      ...(groups.size === 1 ? [] : [`### ${coded(prefix)}`]),
      tableOf(
        ['key', 'type', 'when left out', 'what it is'],
        all.map((row) => cells(row, path === '' ? '' : prefix)),
      ),
    ].join('\n\n'),
  )
  return [
    path === '' ? `## ${heading}` : `## ${coded(path)}`,
    ...(path === '' ? [] : [`${heading}.`]),
    ...tables,
  ].join('\n\n')
}

/** `servers.NAME (program)`, `agents.NAME`, `issuers[]`, or the section itself. */
const prefixOf = (path: string, section_: string): string =>
  /^(?:\w+\.NAME(?: \(\w+\))?|\w+\[\])/.exec(path)?.[0] ?? section_

function render(): string {
  return `${[
    '# Configuration',
    'Made from `src/config/schema.ts` by `scripts/config-page.ts`; do not edit.',
    'One file of JSON with comments and trailing commas, `countersign.jsonc` in the home folder, or another named with `--config`. None is needed: everything has a value when left out. Unknown keys are errors, and so is a key that stands there twice. Relative paths are relative to the file. What the file names is registered at each start; what was added by command stays beside it.',
    ...Object.entries(about).map(([path, heading]) => section(path, heading)),
    '## Secrets',
    'A value of `env` or `headers` may be `secret:NAME`, and a header may hold `${secret:NAME}` inside other text: the broker lends that secret from its sealed store, to the process of one task or to one call. `countersign secret set NAME` puts it there. Anything else is taken literally and is not secret.',
    '## Example',
    `\`\`\`jsonc\n${example}\n\`\`\``,
  ].join('\n\n')}\n`
}

export const example = `{
  "environment": "development",
  "operator": "owner",
  "policy": { "starter": "guarded" },
  "servers": {
    "files": {
      "command": "npx",
      "args": ["-y", "@modelcontextprotocol/server-filesystem", "/srv/documents"],
    },
    "tracker": {
      "url": "https://tracker.example.com/mcp",
      "headers": { "Authorization": "Bearer \${secret:tracker}" },
      "environment": "production",
    },
  },
  "agents": {
    "coder": { "task": { "tools": ["files/*"], "budget": { "effects": { "write": 50 } } } },
  },
}`

export const configPage: Page = { name: 'config.md', from: 'scripts/config-page.ts', render }

if (import.meta.main) await makePage(configPage)

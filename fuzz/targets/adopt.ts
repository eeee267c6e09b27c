import { bom, entriesIn, treeOf, type Entry } from '../../src/adopt/entry.ts'
import { draftOf, fingerprintOf, partsOf, type Draft } from '../../src/adopt/draft.ts'
import { findNodeAtLocation, getNodeValue } from 'jsonc-parser'
import { isDeepStrictEqual } from 'node:util'
import { remaining, withCleanComments, withEntries, type Change } from '../../src/adopt/edit.ts'
import { bytes, hold, text, type Input, type Target } from '../target.ts'
import type { Client, Form, Place } from '../../src/adopt/place.ts'

/** Configurations of clients on this machine: files of others, that are read, understood and edited in place. */
export async function open(): Promise<Target> {
  return { atOnce: 1, json: true, words, seeds: seeds.map(bytes), run }
}

const places: readonly Place[] = (
  [
    ['claude-code', 'servers-of-claude-code'],
    ['claude-desktop', 'mcp-servers'],
    ['cursor', 'mcp-servers'],
    ['vscode', 'servers'],
    ['vscode', 'settings'],
  ] as const satisfies (readonly [Client, Form])[]
).map(([client, form]) => ({ client, form, path: '/home/user/config.json', project: null }))

function run(input: Input): void {
  const words = text(input)
  for (const place of places) {
    const { entries, problems } = entriesIn(place, words)
    for (const { why } of problems) hold(why !== '' && why.length < 2000, 'a problem has words')
    const changes: Change[] = []
    for (const entry of entries) {
      const draft = drafted(entry)
      if (draft === null) continue
      fingerprintOf(draft)
      changes.push({ at: entry.at, command: '/usr/bin/node', args: ['connect.js', '--server', entry.name] })
    }
    if (changes.length > 0) edited(place, words, { entries, changes })
  }
  remaining(words, ['cs-canary', '"'])
}

/** The broker's own words must not hold the value of anything that it found. */
function drafted(entry: Entry): Draft | null {
  const drafted = draftOf(entry, {
    surroundings: {
      client: entry.place.client,
      platform: 'linux',
      home: '/home/user',
      folder: entry.folder,
      variables: { TOKEN: 'cs-canary-Zq81xYw7Pp', HOME: '/home/user' },
    },
    inherit: { PATH: '/usr/bin' },
    environmentFile: (path) =>
      path.length % 2 === 0 ? 'A=1\nexport B="x\\ny" # z\nTOKEN=cs-canary-Zq81xYw7Pp' : null,
  })
  if (!drafted.ok) {
    hold(!drafted.why.includes('cs-canary'), 'why an entry stays does not say a value')
    return null
  }
  const { draft } = drafted
  for (const { pieces } of partsOf(draft)) {
    const whole = pieces.map((piece) => (typeof piece === 'string' ? piece : piece.secret)).join('')
    hold(typeof whole === 'string' && whole.isWellFormed() === whole.isWellFormed(), 'a part is text')
    const open = pieces.filter((piece) => typeof piece === 'string').join('\n')
    hold(!/ghp_[A-Za-z0-9]{36}/.test(open), 'a token in a known form is taken for a secret', () => open)
  }
  if (draft.kind === 'http') {
    const url = new URL(
      draft.url.pieces.map((piece) => (typeof piece === 'string' ? piece : piece.secret)).join(''),
    )
    hold(
      /^https?:$/.test(url.protocol) && url.username === '' && url.password === '',
      'an address carries no login',
    )
  }
  return draft
}

type Edited = { readonly entries: readonly Entry[]; readonly changes: readonly Change[] }

/** What was changed says what it should, and nothing else moved. */
function edited(place: Place, before: string, { entries, changes }: Edited): void {
  const after = withCleanComments(withEntries(before, changes), ['cs-canary-Zq81xYw7Pp'])
  hold(after.startsWith(bom) === before.startsWith(bom), 'a byte order mark stays as it was')
  const tree = treeOf(after)
  hold(!('problem' in tree), 'an edited file is a file that clients read', () => after)
  for (const change of changes) {
    const node = findNodeAtLocation(tree.root, [...change.at])
    const value: unknown = node === undefined ? undefined : getNodeValue(node)
    const fits =
      typeof value === 'object' && value !== null && 'command' in value && 'args' in value &&
      value.command === change.command && isDeepStrictEqual(value.args, change.args) && !('url' in value) && !('headers' in value)
    hold(fits, 'a changed entry runs the broker', () => after)
  }
  const others = entriesIn(place, after).entries.filter(({ at }) => !changes.some((one) => one.at.join('\0') === at.join('\0')))
  const kept = entries.filter(({ at }) => !changes.some((one) => one.at.join('\0') === at.join('\0')))
  hold(isDeepStrictEqual(others.map(({ value }) => value), kept.map(({ value }) => value)), 'other entries stay as they were', () => after)
} // prettier-ignore

const words = ['mcpServers', 'servers', 'mcp', 'projects', 'command', 'args', 'env', 'url', 'headers', 'type', 'transport', 'stdio', 'http', 'sse', 'envFile', 'cwd', 'disabled', 'Authorization', 'Bearer cs-canary-Zq81xYw7Pp', '${TOKEN}', '${env:TOKEN}', '${TOKEN:-x}', '${input:a}', '${workspaceFolder}', '${constructor}', '${__proto__}', '${toString}', '--api-key', '--token=x', 'npx', 'mcp-remote', 'mcp-remote@0.1.10', '--header', 'X-Key: ${constructor}', 'https://user:p%40ss@a.example/mcp?key=x', 'https://%zz:x@a.example/', 'https://a.example/sse', '// comment cs-canary-Zq81xYw7Pp\n', '/* x */', ',', '\ufeff', '\r\n', `gh${'p_'}0123456789abcdefghijklmnopqrstuvwxyzAB`, 'secret:a', '__proto__'] // prettier-ignore

const seeds = [
  '{\n  "mcpServers": {\n    "github": { "command": "npx", "args": ["-y", "server"], "env": { "TOKEN": "${TOKEN}" } },\n    "web": {\n      "url": "https://a.example/mcp", // where\n      "headers": { "Authorization": "Bearer cs-canary-Zq81xYw7Pp" }\n    }\n  },\n  "other": [1, 2]\n}\n',
  '{"projects":{"/srv/a":{"mcpServers":{"x":{"command":"node","args":["--token","abc"],"cwd":"${workspaceFolder}"}}}},"mcpServers":{"y":{"type":"http","url":"https://user:pass@a.example/mcp?api_key=1234567890"}}}',
  '{"servers":{"a":{"type":"stdio","command":"uvx","args":["mcp-remote","https://a.example/mcp","--header","Authorization: Bearer ${TOKEN}"],"envFile":".env"}},"inputs":[]}',
  '{"mcp":{"servers":{"b":{"command":"docker","args":["run","-e","KEY=${env:TOKEN}"]}}},"editor.fontSize":12,}',
] // prettier-ignore

import { fileURLToPath } from 'node:url'

/** What starts `countersign` on this machine, absolute: a client's configuration knows no PATH of yours. */
export const launch = (): readonly [string, ...string[]] => [
  process.execPath,
  fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? './main.ts' : './main.js', import.meta.url)),
]

export type Paste = { readonly client: string; readonly where: string; readonly text: string }

/** What to paste into each client so that it reaches its tools through the broker. No secret is in it. */
export function pastes(given: {
  readonly home: string
  readonly agents: readonly string[]
}): readonly Paste[] {
  const [command, ...before] = launch()
  const entry = (agent: string) => ({
    command,
    args: [...before, 'connect', '--agent', agent, '--home', given.home],
  })
  const has = (agent: string) => (given.agents.includes(agent) ? agent : given.agents[0])
  const shell = (words: readonly string[]) =>
    words.map((word) => (/^[\w./:@-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)).join(' ')
  const all: readonly {
    client: string
    agent: string | undefined
    where: string
    text: (agent: string) => string
  }[] = [
    {
      client: 'Claude Code',
      agent: has('claude-code'),
      where: 'in a shell',
      text: (agent) => `claude mcp add countersign -- ${shell([command, ...entry(agent).args])}`,
    },
    {
      client: 'Cursor',
      agent: has('cursor'),
      where: '~/.cursor/mcp.json',
      text: (agent) => JSON.stringify({ mcpServers: { countersign: entry(agent) } }),
    },
    {
      client: 'VS Code',
      agent: has('vscode'),
      where: '.vscode/mcp.json',
      text: (agent) => JSON.stringify({ servers: { countersign: { type: 'stdio', ...entry(agent) } } }),
    },
    {
      client: 'Claude Desktop',
      agent: has('claude-desktop'),
      where: 'claude_desktop_config.json',
      text: (agent) => JSON.stringify({ mcpServers: { countersign: entry(agent) } }),
    },
  ]
  return all.flatMap(({ client, agent, where, text }) =>
    agent === undefined ? [] : [{ client, where, text: text(agent) }],
  )
}

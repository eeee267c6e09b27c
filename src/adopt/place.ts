import { posix, win32 } from 'node:path'

/** The clients whose configurations are known. Also the names of their agents. */
export const clients = ['claude-code', 'claude-desktop', 'cursor', 'vscode'] as const
export type Client = (typeof clients)[number]

/** Where servers stand in a file: under `mcpServers`, also per project (Claude Code), under `servers`, or in settings. */
export type Form = 'servers-of-claude-code' | 'mcp-servers' | 'servers' | 'settings'

export type Place = {
  readonly client: Client
  readonly path: string
  readonly form: Form
  /** The folder whose file this is. A project's file may come from anybody: found is not enabled (incident 25). */
  readonly project: string | null
}

export type Machine = {
  readonly platform: NodeJS.Platform
  /** The user's home folder. */
  readonly home: string
  readonly variables: { readonly [name: string]: string | undefined }
}

/** Where a user's own configurations would be on this machine. Pure; none of them need exist. */
export function userPlaces(machine: Machine): readonly Place[] {
  const paths = machine.platform === 'win32' ? win32 : posix
  const { home, variables } = machine
  const applications = applicationData(machine)
  const claudeCode = variables['CLAUDE_CONFIG_DIR'] ?? home
  const own = (client: Client, form: Form, path: string): Place => ({ client, form, path, project: null })
  return [
    own('claude-code', 'servers-of-claude-code', paths.join(claudeCode, '.claude.json')),
    own('claude-desktop', 'mcp-servers', paths.join(applications, 'Claude', 'claude_desktop_config.json')),
    own('cursor', 'mcp-servers', paths.join(home, '.cursor', 'mcp.json')),
    ...['Code', 'Code - Insiders'].flatMap((edition) => [
      own('vscode', 'servers', paths.join(applications, edition, 'User', 'mcp.json')),
      own('vscode', 'settings', paths.join(applications, edition, 'User', 'settings.json')),
    ]),
  ]
}

/** Where a project would keep its own. */
export function projectPlaces(machine: Machine, project: string): readonly Place[] {
  const paths = machine.platform === 'win32' ? win32 : posix
  return [
    { client: 'claude-code', form: 'mcp-servers', path: paths.join(project, '.mcp.json'), project },
    { client: 'cursor', form: 'mcp-servers', path: paths.join(project, '.cursor', 'mcp.json'), project },
    { client: 'vscode', form: 'servers', path: paths.join(project, '.vscode', 'mcp.json'), project },
    { client: 'vscode', form: 'settings', path: paths.join(project, '.vscode', 'settings.json'), project },
  ]
}

function applicationData({ platform, home, variables }: Machine): string {
  if (platform === 'win32') return variables['APPDATA'] ?? win32.join(home, 'AppData', 'Roaming')
  if (platform === 'darwin') return posix.join(home, 'Library', 'Application Support')
  return variables['XDG_CONFIG_HOME'] ?? posix.join(home, '.config')
}

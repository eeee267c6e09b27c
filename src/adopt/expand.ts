import { posix, win32 } from 'node:path'
import type { Client } from './place.ts'

/** What a client would put in place of variables, at the time of adopting. */
export type Surroundings = {
  readonly client: Client
  readonly platform: NodeJS.Platform
  readonly home: string
  readonly folder: string | null
  readonly variables: { readonly [name: string]: string | undefined }
  /** Variables that the entry sets itself: `${NAME}` of one is meant for the program, which fills it in. */
  readonly own: readonly string[]
}

export type Expanded =
  /** `from`: environment variables whose values are in the text now. */
  | { readonly ok: true; readonly text: string; readonly from: readonly string[] }
  | { readonly ok: false; readonly why: string }

/**
 * The text as the client would use it. Each client has a language of its own: `${NAME}` and `${NAME:-default}` in
 * Claude Code; `${env:NAME}`, `${userHome}`, `${workspaceFolder}` and `${input:ID}` in Cursor and VS Code; none in
 * Claude Desktop. The broker does not run in the client's environment, so what cannot be known now is not adopted.
 */
export function expand(text: string, around: Surroundings): Expanded {
  if (around.client === 'claude-desktop' || !text.includes('${')) return { ok: true, text, from: [] }
  const from: string[] = []
  const missing: string[] = []
  const expanded = text.replace(/\$\{([^${}]*)\}/g, (all, inner: string) => {
    const value =
      around.client === 'claude-code'
        ? plainVariable(inner, around, from)
        : editorVariable(inner, around, from)
    if (value === null) missing.push(inner)
    return value ?? all
  })
  const first = missing[0]
  return first === undefined ? { ok: true, text: expanded, from } : { ok: false, why: whyNot(first) }
}

function plainVariable(inner: string, { variables, own }: Surroundings, from: string[]): string | null {
  const match = /^([A-Za-z_][A-Za-z0-9_]*)(?::-([^]*))?$/.exec(inner)
  if (match?.[1] === undefined) return null
  // A variable `constructor` is set nowhere, but every object has one.
  const value = Object.hasOwn(variables, match[1]) ? variables[match[1]] : undefined
  if (value === undefined && match[2] === undefined && own.includes(match[1])) return `\${${match[1]}}`
  if (value === undefined) return match[2] ?? null
  from.push(match[1])
  return value
}

function editorVariable(inner: string, around: Surroundings, from: string[]): string | null {
  const paths = around.platform === 'win32' ? win32 : posix
  const variable = /^env:(.+)$/.exec(inner)?.[1]
  if (variable !== undefined) {
    const value = Object.hasOwn(around.variables, variable) ? around.variables[variable] : undefined
    if (value !== undefined) from.push(variable)
    return value ?? null
  }
  switch (inner) {
    case 'userHome':
      return around.home
    case 'workspaceFolder':
      return around.folder
    case 'workspaceFolderBasename':
      return around.folder === null ? null : paths.basename(around.folder)
    case 'pathSeparator':
    case '/':
      return paths.sep
    default:
      // Only what has a prefix is a variable to these clients; anything else reaches the program as it is.
      return /^(?:env|input|command|config|workspaceFolder):?/.test(inner) ? null : `\${${inner}}`
  }
}

function whyNot(inner: string): string {
  if (inner.startsWith('input:')) {
    return `it asks for \`\${${inner}}\` when it starts, and the broker cannot ask; put the value into the sealed store with \`countersign secret set\` and add the server with \`countersign server add\``
  }
  if (inner.startsWith('workspaceFolder'))
    return `\`\${${inner}}\` means another folder in each window; write the folder itself, or adopt it in its project`
  const variable = /^(?:env:)?([A-Za-z_][A-Za-z0-9_]*)$/.exec(inner)?.[1]
  if (variable !== undefined) return `the variable \`${variable}\` is not set here; set it and run again`
  return `\`\${${inner}}\` is known to the client only`
}

/** `KEY=VALUE` lines as dotenv files have them: comments, `export`, single and double quotes. */
export function environmentFile(text: string): { readonly [name: string]: string } {
  const found: [string, string][] = []
  for (const line of text.split(/\r?\n/)) {
    const match = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.]*)\s*=\s*(.*?)\s*$/.exec(line)
    if (match?.[1] === undefined || match[2] === undefined) continue
    const quoted = /^(?:"((?:[^"\\]|\\.)*)"|'([^']*)')(?:\s*#.*)?$/.exec(match[2])
    const plain = match[2].replace(/\s+#.*$/, '')
    found.push([
      match[1],
      quoted === null
        ? plain
        : (quoted[1]?.replace(/\\(.)/g, (_all, mark: string) => (mark === 'n' ? '\n' : mark)) ??
          quoted[2] ??
          ''),
    ])
  }
  return Object.fromEntries(found)
}

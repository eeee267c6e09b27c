import { serverSchema } from '../config/schema.ts'
import type { ServerConfig } from '../config/schema.ts'
import type { Draft, Part } from './draft.ts'
import type { Piece } from './suspect.ts'

/** The broker's own configuration of a server, with names where its secrets were. Checked by the one schema. */
export function configOf(
  draft: Draft,
  nameOf: (secret: string) => string,
  launcher: readonly [string, ...string[]],
): ServerConfig {
  if (draft.kind === 'http') {
    const url = texts([draft.url], nameOf)[0] ?? ''
    return serverSchema.parse({ url, headers: table(draft.headers, nameOf), allowPrivate: isPrivate(url) })
  }
  const env: { [name: string]: string } = { ...table(draft.env, nameOf) }
  const lent = new Map<string, string>()
  const args = draft.args.map(({ pieces }) =>
    pieces
      .map((piece) => {
        if (typeof piece === 'string') return piece
        const variable = lent.get(piece.secret) ?? `COUNTERSIGN_ARG_${lent.size + 1}`
        lent.set(piece.secret, variable)
        env[variable] = `secret:${nameOf(piece.secret)}`
        return `\${${variable}}`
      })
      .join(''),
  )
  const [program, ...before] = launcher
  const started =
    lent.size === 0
      ? { command: draft.command, args }
      : { command: program, args: [...before, draft.command, ...args] }
  return serverSchema.parse({ ...started, env, ...(draft.cwd === null ? {} : { cwd: draft.cwd }) })
}

const table = (
  parts: { readonly [name: string]: Part },
  nameOf: (secret: string) => string,
): { readonly [name: string]: string } =>
  Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, texts([part], nameOf)[0] ?? '']))

const texts = (parts: readonly Part[], nameOf: (secret: string) => string): readonly string[] =>
  parts.map(({ pieces }) => {
    const only = pieces.length === 1 ? pieces[0] : undefined
    return only !== undefined && typeof only !== 'string'
      ? `secret:${nameOf(only.secret)}`
      : pieces.map((piece) => within(piece, nameOf)).join('')
  })

const within = (piece: Piece, nameOf: (secret: string) => string): string =>
  typeof piece === 'string' ? piece : `\${secret:${nameOf(piece.secret)}}`

/** The owner's own client reached it there already; elsewhere private addresses stay closed (SSRF). */
function isPrivate(url: string): boolean {
  const host = new URL(url).hostname
  return (
    /^(?:localhost|127\..*|10\..*|192\.168\..*|172\.(?:1[6-9]|2[0-9]|3[01])\..*|\[(?:::1|f[cd].*)\])$/.test(
      host,
    ) || /\.(?:local|internal|lan|localhost)$/.test(host)
  )
}

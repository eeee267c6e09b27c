import type { Draft, Part } from './draft.ts'
import { piecesOf } from './suspect.ts'
import type { Piece } from './suspect.ts'

/**
 * `mcp-remote` stands between a client that speaks stdio and a server that speaks HTTP. The broker speaks HTTP itself,
 * so that where the header is known the bridge goes away and with it a program that hands addresses chosen by the
 * remote server to the system's opener (CVE-2025-6514, incident 5).
 */
const bridge = /^mcp-remote(?:@(.+))?$/

/** Why a bridge in these arguments may not run; null when none is in them or it may. */
export function bridgeProblem(args: readonly string[]): string | null {
  const version = args.map((arg) => bridge.exec(arg)?.[1]).find((found) => found !== undefined)
  const numbers = /^[v^~]?0\.(\d+)(?:\.(\d+))?$/.exec(version ?? '')
  if (numbers === null) return null
  const [minor, patch] = [Number(numbers[1]), Number(numbers[2] ?? '99')]
  const vulnerable = minor === 0 || (minor === 1 && patch < 16)
  return vulnerable
    ? `\`mcp-remote\` ${version} runs commands that a remote server chooses (CVE-2025-6514); raise it to 0.1.16 or later first`
    : null
}

/** The HTTP server behind a bridge that is given its header; null when it is no bridge or signs in by itself. */
export function bridged(draft: Extract<Draft, { readonly kind: 'stdio' }>): Draft | null {
  const at = draft.args.findIndex((arg) => bridge.test(textOf(arg.pieces)))
  if (at === -1 || !/(?:^|[\\/])(?:npx|bunx|pnpx|npm|pnpm|yarn|bun)(?:\.cmd)?$/.test(draft.command))
    return null
  const [url, ...rest] = draft.args.slice(at + 1)
  if (
    url === undefined ||
    !textOf(url.pieces).startsWith('https://') ||
    /\/sse\/?(?:[?#]|$)/.test(textOf(url.pieces))
  )
    return null
  const headers: { [name: string]: Part } = {}
  for (let index = 0; index < rest.length; index += 2) {
    const [flag, value] = [rest[index], rest[index + 1]]
    if (flag === undefined || value === undefined) return null
    const name = textOf(flag.pieces)
    if (name === '--transport' && /^http-(?:only|first)$/.test(textOf(value.pieces))) continue
    const header = name === '--header' ? /^([A-Za-z0-9-]+):\s*([^]+)$/.exec(textOf(value.pieces)) : null
    if (header?.[1] === undefined || header[2] === undefined) return null
    const filled = header[2].replace(/\$\{([^}]+)\}/g, (all, variable: string) => {
      const found = Object.hasOwn(draft.env, variable) ? draft.env[variable] : undefined
      return found === undefined ? all : textOf(found.pieces)
    })
    if (filled.includes('${')) return null
    headers[header[1]] = { where: value.where, hint: header[1], pieces: piecesOf(header[1], filled) }
  }
  return Object.keys(headers).length === 0
    ? null
    : { kind: 'http', url: { ...url, where: 'url', hint: 'key' }, headers }
}

const textOf = (pieces: readonly Piece[]): string =>
  pieces.map((piece) => (typeof piece === 'string' ? piece : piece.secret)).join('')

/**
 * Guards against DNS rebinding: a web page whose name was made to point at this machine reaches loopback with the
 * browser's blessing, but it cannot choose the `Host` and `Origin` that the browser sends. Pure.
 */
export type Guard = {
  /** `name` or `name:port`, lower case. Loopback names are always accepted. */
  readonly allowedHosts: readonly string[]
  /** Whole origins, for example `https://console.example`. */
  readonly allowedOrigins: readonly string[]
  /** Pages served from loopback may call. Only where every request carries a token that a page cannot know. */
  readonly loopbackOrigins: boolean
}

export type Guarded = { readonly ok: true } | { readonly ok: false; readonly problem: string }

const loopbackNames: readonly string[] = ['localhost', '127.0.0.1', '[::1]']

/** Compares what a request says of its target and its source. A missing `Origin` is no browser and passes. */
export function guard(rules: Guard, host: string | undefined, origin: string | undefined): Guarded {
  if (host === undefined || !hostAllowed(rules, host.toLowerCase())) {
    return {
      ok: false,
      problem: `\`Host\` \`${clip(host ?? '')}\` is not served here; use a loopback name or add it to \`listen.allowedHosts\``,
    }
  }
  if (origin === undefined || originAllowed(rules, origin.toLowerCase(), host.toLowerCase()))
    return { ok: true }
  return {
    ok: false,
    problem: `\`Origin\` \`${clip(origin)}\` may not call here; add it to \`listen.allowedOrigins\` if it should`,
  }
}

function hostAllowed(rules: Guard, host: string): boolean {
  const name = nameOf(host)
  if (name === null) return false
  return [...loopbackNames, ...rules.allowedHosts].some((allowed) => allowed === name || allowed === host)
}

function originAllowed(rules: Guard, origin: string, host: string): boolean {
  if (rules.allowedOrigins.includes(origin)) return true
  const authority = /^https?:\/\/([^/?#@\s]+)$/.exec(origin)?.[1]
  if (authority === undefined) return false
  if (authority === host) return true
  const name = nameOf(authority)
  return rules.loopbackOrigins && name !== null && loopbackNames.includes(name)
}

/** `name`, `name:port`, `[v6]` or `[v6]:port`; anything else (user info, paths, blanks) has no name. */
const nameOf = (authority: string): string | null =>
  /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?$/.exec(authority)?.[1] ?? null

const clip = (text: string): string => text.slice(0, 100)

import { ConfigError } from './load.ts'

export type Address = { readonly host: string; readonly port: number }

/** `ADDRESS:PORT`, an IPv6 address in brackets (RFC 3986 section 3.2.2). Throws `ConfigError` that names the key. */
export function parseAddress(key: string, text: string): Address {
  const found = /^(?:\[([0-9a-f:.]+)\]|([^:[\]\s/]+)):(\d{1,5})$/i.exec(text)
  const host = found?.[1] ?? found?.[2]
  const port = Number(found?.[3])
  if (host !== undefined && port <= 65_535) return { host, port }
  const problem = `\`${key}\`: expected an address and a port, found \`${text.slice(0, 100)}\``
  throw new ConfigError(
    'listen',
    [problem],
    'write it as 127.0.0.1:7316 or [::1]:7316; port 0 takes a free one',
  )
}

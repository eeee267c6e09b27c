import type { Attributes } from './attributes.ts'
import type { ServerRecord } from '../store/ports.ts'

/**
 * How a server is reached, as the conventions say it, from its registered configuration. Of an address only host and
 * port: its path and query are where secrets are named.
 */
export function createUpstreams(
  record: (server: string) => ServerRecord | null,
): (server: string) => Attributes {
  const known = new WeakMap<ServerRecord, Attributes>()
  return (server) => {
    const found = record(server)
    if (found === null) return {}
    const before = known.get(found)
    if (before !== undefined) return before
    const made = attributesOf(found)
    known.set(found, made)
    return made
  }
}

function attributesOf({ config, view }: ServerRecord): Attributes {
  // A server says which revision it speaks: only what has the form of one is said on.
  const said = view?.protocolVersion ?? ''
  const version = /^\d{4}-\d{2}-\d{2}$/.test(said) ? { 'mcp.protocol.version': said } : {}
  if (typeof config['url'] !== 'string') return { 'network.transport': 'pipe', ...version }
  const url = URL.parse(config['url'])
  return {
    'network.transport': 'tcp',
    'network.protocol.name': 'http',
    'network.protocol.version': '1.1',
    ...(url === null
      ? {}
      : {
          'server.address': url.hostname,
          'server.port': Number(url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : url.port),
        }),
    ...version,
  }
}

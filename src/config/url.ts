/**
 * Rules for the two addresses of a configuration that others read besides this process. They give a problem in words, or
 * null; none of them quotes the address, because what is wrong with it may be that it holds a password.
 */

/** Where the database is. `%2Frun%2Fpostgresql` as the host is a folder with its socket. */
export type DatabaseAddress = {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly database: string
}

const example = '`postgres://USER@HOST:5432/DATABASE`'

/** Password and TLS have keys of their own: a URL ends up in process lists, in copies of the file and in errors. */
export function databaseProblem(text: string): string | null {
  const url = URL.parse(text)
  if (url === null || !/^postgres(?:ql)?:$/.test(url.protocol)) return `expected ${example}`
  if (url.password !== '' || /[?&](?:ssl)?password=/i.test(text))
    return 'expected no password in the URL: put it into a file that only the broker can read, and name that in `store.passwordFile`'
  if (url.search !== '' || url.hash !== '')
    return 'expected nothing behind the database: certificates are checked against `store.ca`, and TLS is not an option'
  if (url.hostname === '') return `expected a host: ${example}`
  if (url.username === '') return `expected a user: ${example}`
  if (!/^\/[^/]+$/.test(url.pathname)) return `expected one database: ${example}`
  if (![url.hostname, url.username, url.pathname].every(isEncoded)) return 'expected sound percent encoding'
  return null
}

/** The parts of a URL in which `databaseProblem` finds nothing. Throws `TypeError` for any other. */
export function databaseAddress(text: string): DatabaseAddress {
  const problem = databaseProblem(text)
  if (problem !== null) throw new TypeError(problem)
  const url = new URL(text)
  const [host, user, database] = [url.hostname, url.username, url.pathname.slice(1)].map(decodeURIComponent)
  return {
    host: (host ?? '').replace(/^\[|\]$/g, ''),
    port: url.port === '' ? 5432 : Number(url.port),
    user: user ?? '',
    database: database ?? '',
  }
}

/** An origin and nothing more: `/token` and `/mcp` stand at its root, and tokens name it to the letter. */
export function publicUrlProblem(text: string): string | null {
  const url = URL.parse(text)
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:'))
    return 'expected a URL like `https://tools.example.com`'
  if (url.username !== '' || url.password !== '') return 'expected no user or password in the URL'
  // As it is compared: no path, no default port, lower case.
  return text === url.origin ? null : `expected only scheme and host, written as \`${url.origin}\``
}

function isEncoded(text: string): boolean {
  try {
    decodeURIComponent(text)
    return true
  } catch {
    return false
  }
}

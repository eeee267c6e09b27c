import { nameSchema } from '../config/schema.ts'

/** A name as the broker takes it (`nameSchema`), as near to the client's own as can be. */
export function brokerName(name: string): string {
  const plain = name
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/__+/g, '_')
    .replace(/-{2,}/g, '-')
    .slice(0, 60)
    .replace(/^[^a-z0-9]+|[^a-z0-9]+$/g, '')
  return nameSchema.safeParse(plain).success ? plain : 'server'
}

/** The first of the candidates, then numbered ones, that is not taken. */
export function freeName(candidates: readonly string[], taken: ReadonlySet<string>): string {
  for (const name of candidates) if (!taken.has(name)) return name
  const first = candidates[0] ?? 'server'
  for (let number = 2; ; number += 1) {
    const name = `${first.slice(0, 56)}-${number}`
    if (!taken.has(name)) return name
  }
}

/** `GITHUB_TOKEN` of the server `github` becomes `github-token`; `API_KEY` of it `github-api-key`. */
export function secretName(server: string, hint: string): string {
  const plain = brokerName(hint.replace(/([a-z0-9])([A-Z])/g, '$1-$2').replace(/[_.]/g, '-'))
  return brokerName(
    plain === server || plain.startsWith(`${server}-`)
      ? plain
      : `${server.slice(0, 30)}-${plain.slice(0, 30)}`,
  )
}

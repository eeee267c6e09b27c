/**
 * Forms by which issuers mark their credentials. Each pattern starts where a run of its characters starts and has a
 * fixed prefix, so that scanning hostile text stays linear. Also used to find tokens in configurations.
 */
export const secretKinds = [
  'aws-access-key', 'github-token', 'gitlab-token', 'slack-token', 'slack-webhook', 'stripe-key', 'google-api-key',
  'google-oauth', 'openai-or-anthropic-key', 'npm-token', 'pypi-token', 'sendgrid-key', 'linear-or-notion-key', 'private-key', 'jwt',
] as const // prettier-ignore
export type SecretKind = (typeof secretKinds)[number]

const start = '(?<![A-Za-z0-9_-])'

const patterns: { readonly [K in SecretKind]: string } = {
  'aws-access-key': `${start}(?:AKIA|ASIA)[0-9A-Z]{16}(?![0-9A-Z])`,
  'github-token': `${start}(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{36,255})`,
  'gitlab-token': `${start}gl(?:pat|dt|rt|cbt|ptt|ft|oas|soat|agent)-[A-Za-z0-9_-]{20,255}`,
  'slack-token': `${start}xox[abeoprs]-[A-Za-z0-9-]{10,255}|${start}xapp-[0-9]-[A-Za-z0-9-]{10,255}`,
  'slack-webhook': 'hooks\\.slack\\.com/(?:services|workflows)/[A-Za-z0-9/]{20,255}',
  'stripe-key': `${start}(?:[sr]k_(?:live|test)|whsec)_[A-Za-z0-9]{16,255}`,
  'google-api-key': `${start}AIza[0-9A-Za-z_-]{35}`,
  'google-oauth': `${start}(?:ya29\\.[0-9A-Za-z_-]{20,2048}|GOCSPX-[0-9A-Za-z_-]{20,64})`,
  'openai-or-anthropic-key': `${start}sk-(?:[a-z]{2,16}-)?[A-Za-z0-9_-]{20,255}`,
  'npm-token': `${start}npm_[A-Za-z0-9]{36}`,
  'pypi-token': `${start}pypi-[A-Za-z0-9_-]{50,512}`,
  'sendgrid-key': `${start}SG\\.[A-Za-z0-9_-]{16,64}\\.[A-Za-z0-9_-]{16,64}`,
  'linear-or-notion-key': `${start}(?:lin_api_[A-Za-z0-9]{20,64}|ntn_[A-Za-z0-9]{20,64}|secret_[A-Za-z0-9]{40,64})`,
  'private-key': '-----BEGIN (?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY(?: BLOCK)?-----',
  jwt: `${start}eyJ[A-Za-z0-9_-]{8,8192}\\.eyJ[A-Za-z0-9_-]{8,8192}\\.[A-Za-z0-9_-]{8,8192}`,
}

/**
 * What every match of every pattern has in it. Most texts have none of these, and one look tells; a text that has one is
 * put to all patterns. Whoever adds a kind adds its beginning here (a test holds the two together).
 */
const beginnings =
  /A(?:KIA|SIA|Iza)|gh[pousr]_|github_pat_|gl(?:pat|dt|rt|cbt|ptt|ft|oas|soat|agent)-|xox[abeoprs]-|xapp-|hooks\.slack\.com\/|[sr]k_(?:live|test)_|whsec_|ya29\.|GOCSPX-|sk-|npm_|pypi-|SG\.|lin_api_|ntn_|secret_|-----BEGIN |eyJ/

/** No match of any pattern is shorter (`xoxb-` and ten). Names of members, which are texts too, mostly are. */
const shortest = 15

const mayHold = (text: string): boolean => text.length >= shortest && beginnings.test(text)

/** How many there are at most counted in one text: enough to say "many". */
const most = 1000

const compiled = secretKinds.map((kind) => ({ kind, pattern: new RegExp(patterns[kind], 'g') }))

/** Secret-shaped values in a text, by kind. Never the values themselves. */
export function secretShapes(text: string): ReadonlyMap<SecretKind, number> {
  const found = new Map<SecretKind, number>()
  if (!mayHold(text)) return found
  for (const { kind, pattern } of compiled) {
    let number = 0
    for (const _match of text.matchAll(pattern)) if ((number += 1) >= most) break
    if (number > 0) found.set(kind, number)
  }
  return found
}

/** Where secret-shaped values stand in a text, sorted, not overlapping. */
export function secretSpans(text: string): readonly { readonly start: number; readonly end: number }[] {
  const spans = compiled.flatMap(({ pattern }) =>
    [...text.matchAll(pattern)]
      .slice(0, most)
      .map((match) => ({ start: match.index, end: match.index + match[0].length })),
  )
  let end = 0
  return spans
    .sort((a, b) => a.start - b.start || b.end - a.end)
    .filter((span) => {
      const apart = span.start >= end
      if (apart) end = span.end
      return apart
    })
}

/** How a secret may be written so that whoever reads it has it. `plain` first. */
export function formsOf(secret: string): { readonly [form: string]: string } {
  const bytes = Buffer.from(secret, 'utf8')
  const hex = bytes.toString('hex')
  const percent = encodeURIComponent(secret)
  return {
    plain: secret,
    json: JSON.stringify(secret).slice(1, -1),
    unicode: Array.from(secret, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`).join(
      '',
    ),
    percent,
    percentTwice: encodeURIComponent(percent),
    html: Array.from(secret, (letter) => `&#${letter.charCodeAt(0)};`).join(''),
    hex,
    hexUpper: hex.toUpperCase(),
    base64: inner(bytes, 0, 'base64'),
    base64Behind1: inner(bytes, 1, 'base64'),
    base64Behind2: inner(bytes, 2, 'base64'),
    base64url: inner(bytes, 0, 'base64url'),
  }
}

/** The letters of base64 that depend on the secret alone, when `behind` bytes of something else come before it. */
function inner(bytes: Buffer, behind: number, encoding: 'base64' | 'base64url'): string {
  const text = Buffer.concat([Buffer.alloc(behind), bytes])
    .toString(encoding)
    .replace(/=+$/, '')
  const whole = (behind + bytes.length) % 3 === 0
  return text.slice([0, 2, 3][behind] ?? 0, whole ? text.length : -1)
}

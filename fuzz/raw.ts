import { connect } from 'node:net'

/** One response as it came over the wire. */
export type Answer = {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
}

export type Sent = {
  readonly answers: readonly Answer[]
  /** Everything that came, as it came. */
  readonly text: string
  /** The server closed the connection by itself. */
  readonly closed: boolean
}

/** How long nothing may come before what came is taken for all of it. */
const quietMs = 20

/**
 * Sends bytes on a fresh connection and reads what comes back until the server closes or falls silent: with `expected`
 * answers complete soon, without any after `patienceMs`.
 */
export function send(
  port: number,
  bytes: Uint8Array,
  { expected, patienceMs }: { readonly expected: number; readonly patienceMs: number },
): Promise<Sent> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    let timer: NodeJS.Timeout | null = null
    let over = false
    const finish = (closed: boolean): void => {
      if (over) return
      over = true
      if (timer !== null) clearTimeout(timer)
      socket.destroy()
      const text = Buffer.concat(chunks).toString('latin1')
      resolve({ answers: parse(text).answers, text, closed })
    }
    const wait = (ms: number): void => {
      if (timer !== null) clearTimeout(timer)
      timer = setTimeout(() => finish(false), ms)
    }
    socket.on('error', () => finish(true))
    socket.on('close', () => finish(true))
    socket.on('end', () => finish(true))
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      const { answers, rest } = parse(Buffer.concat(chunks).toString('latin1'))
      wait(answers.length >= expected && rest === '' ? quietMs : patienceMs)
    })
    wait(patienceMs)
    socket.write(bytes)
  })
}

/** Takes whole responses off the front of a text. What is left is part of one, or no HTTP at all. */
export function parse(text: string): { readonly answers: readonly Answer[]; readonly rest: string } {
  const answers: Answer[] = []
  let rest = text
  for (;;) {
    const head = /^HTTP\/1\.1 (\d{3})[^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n/.exec(rest)
    if (head === null) return { answers, rest }
    const headers = new Map(
      (head[2] ?? '').split('\r\n').flatMap((line) => {
        const at = line.indexOf(':')
        return at < 0 ? [] : [[line.slice(0, at).toLowerCase(), line.slice(at + 1).trim()] as const]
      }),
    )
    const after = rest.slice(head[0].length)
    const body = bodyOf(after, headers, Number(head[1]))
    if (body === null) return { answers, rest }
    answers.push({ status: Number(head[1]), headers, body: body.text })
    rest = after.slice(body.length)
  }
}

function bodyOf(
  after: string,
  headers: ReadonlyMap<string, string>,
  status: number,
): { readonly text: string; readonly length: number } | null {
  if (status === 204 || status < 200) return { text: '', length: 0 }
  const length = headers.get('content-length')
  if (length !== undefined) {
    const size = Number(length)
    return after.length < size ? null : { text: utf8(after.slice(0, size)), length: size }
  }
  if (headers.get('transfer-encoding') !== 'chunked') return null
  let [text, at] = ['', 0]
  for (;;) {
    const head = /^([0-9a-f]+)\r\n/i.exec(after.slice(at))
    if (head === null) return null
    const size = Number.parseInt(head[1] ?? '0', 16)
    const from = at + head[0].length
    if (after.length < from + size + 2) return null
    text += after.slice(from, from + size)
    at = from + size + 2
    if (size === 0) return { text: utf8(text), length: at }
  }
}

const utf8 = (latin1: string): string => Buffer.from(latin1, 'latin1').toString('utf8')

/** One request, framed by a reader that takes nothing but the letter of RFC 9112. */
export type Framed = {
  readonly method: string
  readonly path: string
  readonly headers: readonly (readonly [string, string])[]
  readonly body: Buffer
}

export type Framing = {
  readonly requests: readonly Framed[]
  /** What comes after: nothing, a part of a request, or bytes that two readers could frame differently. */
  readonly rest: 'nothing' | 'part' | 'unclear'
}

/** The oracle against smuggling: what cannot be framed in exactly one way must not be served. */
export function frame(input: Uint8Array): Framing {
  const requests: Framed[] = []
  let rest = Buffer.from(input)
  for (;;) {
    while (rest[0] === 0x0d && rest[1] === 0x0a) rest = rest.subarray(2)
    if (rest.length === 0) return { requests, rest: 'nothing' }
    const end = rest.indexOf('\r\n\r\n')
    if (end < 0) return { requests, rest: 'part' }
    const head = rest.subarray(0, end).toString('latin1')
    const read = readHead(head)
    if (read === null) return { requests, rest: 'unclear' }
    const body = readBody(rest.subarray(end + 4), read.headers)
    if (body === 'part' || body === 'unclear') return { requests, rest: body }
    requests.push({ ...read, body: body.bytes })
    rest = rest.subarray(end + 4 + body.length)
  }
}

function readHead(head: string): Omit<Framed, 'body'> | null {
  const [line = '', ...fields] = head.split('\r\n')
  const request = /^([A-Z]+) ([\x21-\x7e]+) HTTP\/1\.1$/.exec(line)
  const headers: (readonly [string, string])[] = []
  for (const field of fields) {
    const found = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/.exec(field)
    if (found?.[1] === undefined) return null
    headers.push([found[1].toLowerCase(), found[2] ?? ''])
  }
  return request?.[1] === undefined ? null : { method: request[1], path: request[2] ?? '', headers }
}

function readBody(
  rest: Buffer,
  headers: Framed['headers'],
): { readonly bytes: Buffer; readonly length: number } | 'part' | 'unclear' {
  const all = (name: string): readonly string[] =>
    headers.flatMap(([found, value]) => (found === name ? [value] : []))
  const lengths = all('content-length')
  const codings = all('transfer-encoding')
  if (codings.length > 0) {
    if (lengths.length > 0 || codings.length > 1 || codings[0]?.toLowerCase() !== 'chunked') return 'unclear'
    return readChunks(rest)
  }
  if (lengths.length === 0) return { bytes: Buffer.alloc(0), length: 0 }
  if (lengths.length > 1 || !/^\d{1,15}$/.test(lengths[0] ?? '')) return 'unclear'
  const size = Number(lengths[0])
  return rest.length < size ? 'part' : { bytes: rest.subarray(0, size), length: size }
}

function readChunks(rest: Buffer): { readonly bytes: Buffer; readonly length: number } | 'part' | 'unclear' {
  const parts: Buffer[] = []
  let at = 0
  for (;;) {
    const line = rest.indexOf('\r\n', at)
    if (line < 0) return rest.length - at > 64 ? 'unclear' : 'part'
    const size = /^([0-9a-fA-F]{1,8})$/.exec(rest.subarray(at, line).toString('latin1'))?.[1]
    if (size === undefined) return 'unclear'
    const length = Number.parseInt(size, 16)
    const from = line + 2
    if (length === 0) {
      const tail = rest.subarray(from, from + 2).toString('latin1')
      return tail === '\r\n'
        ? { bytes: Buffer.concat(parts), length: from + 2 }
        : tail.length < 2
          ? 'part'
          : 'unclear'
    }
    if (rest.length < from + length + 2) return 'part'
    if (rest.subarray(from + length, from + length + 2).toString('latin1') !== '\r\n') return 'unclear'
    parts.push(rest.subarray(from, from + length))
    at = from + length + 2
  }
}

/** One server-sent event (WHATWG HTML 9.2). */
export type ServerEvent = { readonly id: string | null; readonly data: string }

const longest = 16 * 1024 * 1024

/** Unfolds a stream of server-sent events. Throws when one is longer than 16 MiB; ends when the stream ends. */
export async function* serverEvents(
  body: ReadableStream<Uint8Array>,
): AsyncGenerator<ServerEvent, void, undefined> {
  let data: string[] = []
  let id: string | null = null
  for await (const line of lines(body)) {
    if (line === '') {
      if (data.length > 0) yield { id, data: data.join('\n') }
      data = []
      continue
    }
    const colon = line.indexOf(':')
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (field === 'data') data.push(value)
    else if (field === 'id' && !value.includes('\0')) id = value
  }
}

/** Text in lines, without their ends (LF, CRLF or CR). A last line without an end is given, too. */
export async function* lines(
  body: AsyncIterable<Uint8Array | string>,
): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of body) {
    rest += typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true })
    // A CR at the very end may be the first half of a CRLF: it waits for what follows.
    const held = rest.endsWith('\r') ? '\r' : ''
    const parts = rest.slice(0, rest.length - held.length).split(/\r\n|\n|\r/)
    rest = (parts.pop() ?? '') + held
    yield* parts
    if (rest.length > longest) throw new RangeError(`expected lines of at most ${longest} characters`)
  }
  if (rest !== '') yield rest.replace(/\r$/, '')
}

export type EventStream = {
  /** False: an event was larger than the limit, and the stream is of no use any more. */
  push(chunk: Buffer): boolean
}

const cr = 0x0d
const lf = 0x0a

/**
 * Reads server-sent events (WHATWG HTML, "Interpreting an event stream"): lines end in CR, LF or CRLF; `data` lines
 * are joined by LF; comments, `id` and `retry` are of no use to us; events of another type than `message` are
 * dropped. Bytes stay bytes: the JSON reader refuses what is not UTF-8.
 */
export function readEvents(limit: number, onData: (data: Buffer) => void): EventStream {
  let line: Buffer[] = []
  let data: Buffer[] = []
  let size = 0
  let type = ''
  let afterCr = false
  let first = true

  const endOfLine = () => {
    const [only] = line
    const whole = line.length === 1 && only !== undefined ? only : Buffer.concat(line)
    line = []
    // A byte order mark may stand before the first line.
    const text =
      first && whole.subarray(0, 3).equals(Buffer.from([0xef, 0xbb, 0xbf])) ? whole.subarray(3) : whole
    first = false
    if (text.length > 0) return field(text)
    if (data.length > 0 && (type === '' || type === 'message')) onData(join(data))
    data = []
    size = 0
    type = ''
  }
  const field = (text: Buffer) => {
    const colon = text.indexOf(0x3a)
    if (colon === 0) {
      size -= text.length
      return
    }
    const name = text.subarray(0, colon === -1 ? text.length : colon).toString('latin1')
    const from = colon === -1 ? text.length : colon + (text[colon + 1] === 0x20 ? 2 : 1)
    if (name === 'data') data.push(text.subarray(from))
    else if (name === 'event') type = text.subarray(from).toString('latin1')
  }
  return {
    push(chunk) {
      let from = 0
      for (let at = 0; at < chunk.length; at++) {
        const byte = chunk[at]
        if (byte === lf && afterCr) {
          afterCr = false
          from = at + 1
          continue
        }
        afterCr = byte === cr
        if (byte !== cr && byte !== lf) continue
        line.push(chunk.subarray(from, at))
        size += at - from
        if (size > limit) return false
        endOfLine()
        from = at + 1
      }
      if (from < chunk.length) line.push(Buffer.from(chunk.subarray(from)))
      size += chunk.length - from
      return size <= limit
    },
  }
}

function join(lines: readonly Buffer[]): Buffer {
  const [only] = lines
  if (lines.length === 1 && only !== undefined) return only
  return Buffer.concat(lines.flatMap((line, index) => (index === 0 ? [line] : [Buffer.from('\n'), line])))
}

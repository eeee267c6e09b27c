import { gather } from '../lib/gather.ts'

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
  const line = gather(limit)
  const data = gather(limit)
  let hasData = false
  let size = 0
  let type = ''
  let afterCr = false
  let first = true

  const endOfLine = (tail: Buffer) => {
    const isOne = line.size === 0
    if (!isOne) line.add(tail)
    const whole = isOne ? tail : line.take()
    // A byte order mark may stand before the first line.
    const text = first && whole.subarray(0, 3).equals(byteOrderMark) ? whole.subarray(3) : whole
    first = false
    if (text.length > 0) return field(text)
    if (hasData && (type === '' || type === 'message')) onData(data.take())
    else data.take()
    hasData = false
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
    if (name === 'data') {
      if (hasData) data.add(lineFeed)
      hasData = true
      data.add(text.subarray(from))
    } else if (name === 'event') type = text.subarray(from).toString('latin1')
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
        size += at - from
        if (size > limit) return false
        endOfLine(chunk.subarray(from, at))
        from = at + 1
      }
      size += chunk.length - from
      return size <= limit && (from === chunk.length || line.add(chunk.subarray(from)))
    },
  }
}

const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf])
const lineFeed = Buffer.from('\n')

import { gather } from '../lib/gather.ts'

export type EventStream = {
  /** False: an event was larger than the limit, and the stream is of no use any more. */
  push(chunk: Buffer): boolean
}

const cr = 0x0d
const lf = 0x0a

export type EventReader = {
  readonly onData: (data: Buffer) => void
  /** Of an event that has ended, whether or not it had data: where a lost stream is taken up again. */
  readonly onId?: (id: string) => void
  /** How long to wait before that. Milliseconds. */
  readonly onRetry?: (ms: number) => void
}

/** An id goes into a header of ours: visible ASCII, and not too much of it. */
const soundId = /^[\x21-\x7e]{1,512}$/

/**
 * Reads server-sent events (WHATWG HTML, "Interpreting an event stream"): lines end in CR, LF or CRLF; `data` lines
 * are joined by LF; comments are of no use to us; events of another type than `message` are dropped. Bytes stay bytes:
 * the JSON reader refuses what is not UTF-8. `limit` bounds one event.
 */
export function readEvents(limit: number, { onData, onId, onRetry }: EventReader): EventStream {
  const line = gather(limit)
  const data = gather(limit)
  let hasData = false
  let size = 0
  let type = ''
  let id: string | null = null
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
    if (id !== null) onId?.(id)
    id = null
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
    const value = text.subarray(colon === -1 ? text.length : colon + (text[colon + 1] === 0x20 ? 2 : 1))
    if (name === 'data') {
      if (hasData) data.add(lineFeed)
      hasData = true
      data.add(value)
    } else if (value.length <= 512) note(name, value.toString('latin1'))
  }
  const note = (name: string, value: string) => {
    if (name === 'event') type = value
    else if (name === 'id' && soundId.test(value)) id = value
    else if (name === 'retry' && /^\d{1,9}$/.test(value)) onRetry?.(Number(value))
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

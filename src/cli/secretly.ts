import { exitCodes, Failure, type Terminal } from './output.ts'
import { StringDecoder } from 'node:string_decoder'

/** Longer than any passphrase or secret that a person types. */
const longest = 64 * 1024

/**
 * Asks for a text on the terminal without showing it. Only a terminal will do: a passphrase that came through a pipe
 * would be one that some program holds.
 */
export async function secretly(question: string, terminal: Terminal, signal: AbortSignal): Promise<string> {
  const { stdin } = process
  if (!terminal.interactive || !stdin.isTTY) {
    throw new Failure(
      'this needs a person at a terminal',
      'run the command in a terminal of your own',
      exitCodes.denied,
    )
  }
  // First without echo, then the question: what is typed at once after it must not be seen.
  stdin.setRawMode(true)
  terminal.err(question)
  try {
    return await typed(stdin, signal)
  } finally {
    stdin.pause()
    stdin.setRawMode(false)
    terminal.err('\n')
  }
}

/** One line. What was typed or pasted beyond its end is kept for the next question. */
function typed(input: NodeJS.ReadStream, signal: AbortSignal): Promise<string> {
  const decoder = new StringDecoder('utf8')
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  let text = ''
  const give = (): void =>
    reject(new Failure('nothing was entered', 'run the command again', exitCodes.interrupted))
  const taken = (data: Buffer): void => {
    const keys = [...decoder.write(data)]
    for (const [i, key] of keys.entries()) {
      if (key === '\u0003' || key === '\u0004') return give()
      if (key === '\r' || key === '\n') {
        input.off('data', taken)
        // A stream that flows without a listener drops what it is given back.
        input.pause()
        const rest = keys.slice(key === '\r' && keys[i + 1] === '\n' ? i + 2 : i + 1).join('')
        if (rest !== '') input.unshift(Buffer.from(rest, 'utf8'))
        return resolve(text)
      }
      text = edited(text, key)
    }
  }
  input.on('data', taken)
  input.once('end', give)
  signal.addEventListener('abort', give, { once: true })
  if (signal.aborted) give()
  input.resume()
  return promise.finally(() => {
    input.off('data', taken)
    input.off('end', give)
    signal.removeEventListener('abort', give)
  })
}

/** A text after one more key: backspace takes a character, Ctrl-U the line; other control characters are nothing. */
export function edited(text: string, key: string): string {
  if (key === '\u007f' || key === '\b') return [...text].slice(0, -1).join('')
  if (key === '\u0015') return ''
  return key < ' ' || text.length >= longest ? text : text + key
}

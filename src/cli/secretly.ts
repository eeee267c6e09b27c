import { exitCodes, Failure, type Terminal } from './output.ts'

/**
 * Asks for a text on the terminal without showing it. Only a terminal will do: a passphrase that came through a pipe
 * would be one that some program holds.
 */
export async function secretly(question: string, terminal: Terminal): Promise<string> {
  const { stdin } = process
  if (!terminal.interactive || !stdin.isTTY) {
    throw new Failure('this needs a person at a terminal', 'run the command in a terminal of your own', exitCodes.denied)
  }
  terminal.err(question)
  stdin.setRawMode(true)
  stdin.resume()
  try {
    return await typed(stdin)
  } finally {
    stdin.setRawMode(false)
    stdin.pause()
    terminal.err('\n')
  }
}

async function typed(input: AsyncIterable<Buffer>): Promise<string> {
  let text = ''
  for await (const chunk of input) {
    for (const key of chunk.toString('utf8')) {
      if (key === '\u0003' || key === '\u0004') throw new Failure('nothing was entered', 'run the command again')
      if (key === '\r' || key === '\n') return text
      text = key === '\u007f' ? [...text].slice(0, -1).join('') : text + key
    }
  }
  return text
}

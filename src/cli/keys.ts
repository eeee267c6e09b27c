import { exitCodes, Failure, print, table } from './output.ts'
import { keyNames, loadKeys } from '../compose/keys.ts'
import { resolve } from 'node:path'
import type { Command } from './command.ts'

export const keysCommand: Command = {
  usage: [
    'keys DIR   makes the keys of a broker in a folder, for `keys` of its configuration; those that are there stay',
  ],
  options: {},
  words: 1,
  async run({ words: [folder], terminal }) {
    if (folder === undefined)
      throw new Failure('expected a folder', 'countersign keys ./keys', exitCodes.usage)
    const at = resolve(folder)
    // Whoever holds this folder is the broker: it goes to its nodes and into a safe place, and nowhere else.
    const names = keyNames(await loadKeys({ home: at, keys: at }))
    print(terminal, { folder: at, names }, () => [
      at,
      ...table(Object.entries(names).map(([name, value]) => [`  ${name}`, value])),
    ])
    return exitCodes.done
  },
}

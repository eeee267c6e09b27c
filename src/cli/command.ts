import { exitCodes, Failure, type ExitCode, type Terminal } from './output.ts'
import type { OperatorClient, PersonProof } from './client.ts'

/** One command: one file, one row in `main.ts`. */
export type Command = {
  /** One line per form, without the program's name. */
  readonly usage: readonly string[]
  /** Options besides the global ones, as `node:util` `parseArgs` takes them. */
  readonly options: Options
  /** How many words may follow the command's name; more are an error and not something to ignore. */
  readonly words: number
  /** Takes what follows `--`. */
  readonly takesRest?: boolean
  /** Ends by itself when the signal aborts; the others are left where they are. */
  readonly heedsSignal?: boolean
  run(invocation: Invocation): Promise<ExitCode>
}

export type Options = {
  readonly [name: string]: {
    readonly type: 'string' | 'boolean'
    readonly short?: string
    readonly multiple?: boolean
  }
}

export type Invocation = {
  readonly terminal: Terminal
  /** Words after the command's name. */
  readonly words: readonly string[]
  /** Everything after `--`. */
  readonly rest: readonly string[]
  readonly flags: Flags
  /** The folder of store, keys and log; absolute. */
  readonly home: string
  readonly configFile: string | null
  /** The operators' API of the running broker, or of one in this process while the command runs. */
  operators(): Promise<OperatorClient>
  /** Sends; when a person has to be proven asks for the passphrase once and sends again. */
  proven<Result>(send: (proof: PersonProof | undefined) => Promise<Result>): Promise<Result>
  /** Asks for a text without showing it; fails when there is no terminal. */
  secretly(question: string): Promise<string>
  readonly signal: AbortSignal
}

export type Flags = { readonly [name: string]: string | boolean | readonly (string | boolean)[] | undefined }

export const text = (flags: Flags, name: string): string | undefined => {
  const value = flags[name]
  return typeof value === 'string' ? value : undefined
}

export const texts = (flags: Flags, name: string): readonly string[] => {
  const value = flags[name]
  if (typeof value === 'string') return [value]
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : []
}

/** A number of an option, at least 0. */
export function amount(flags: Flags, name: string): number | undefined {
  const value = text(flags, name)
  if (value === undefined) return undefined
  const number = value.trim() === '' ? Number.NaN : Number(value)
  if (Number.isFinite(number) && number >= 0) return number
  throw new Failure(`expected a number after \`--${name}\``, `--${name} 10`, exitCodes.usage)
}

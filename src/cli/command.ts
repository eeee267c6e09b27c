import type { ExitCode, Terminal } from './output.ts'
import type { OperatorClient } from './client.ts'

/** One command: one file, one row in `main.ts`. */
export type Command = {
  readonly name: string
  readonly summary: string
  /** One line per form, without the program's name. */
  readonly usage: readonly string[]
  /** Options besides the global ones, as `node:util` `parseArgs` takes them. */
  readonly options: {
    readonly [name: string]: {
      readonly type: 'string' | 'boolean'
      readonly short?: string
      readonly multiple?: boolean
    }
  }
  run(invocation: Invocation): Promise<ExitCode>
}

export type Invocation = {
  readonly terminal: Terminal
  /** Words after the command's name. */
  readonly words: readonly string[]
  /** Everything after `--`. */
  readonly rest: readonly string[]
  readonly flags: { readonly [name: string]: string | boolean | readonly string[] | undefined }
  /** The folder of store, keys and log. */
  readonly home: string
  readonly configFile: string | null
  /** The running broker's operators' API; fails with exit code 3 and a hint when none runs. */
  operators(): Promise<OperatorClient>
  /** Asks for a passphrase without showing it; fails when there is no terminal. */
  passphrase(question: string): Promise<string>
  readonly signal: AbortSignal
}

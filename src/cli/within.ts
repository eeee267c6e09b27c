import { embedded } from './embedded.ts'
import { exitCodes, Failure, type Terminal } from './output.ts'
import { operatorClient, OperatorFailure, type OperatorClient, type PersonProof } from './client.ts'

export type Place = {
  operators(): Promise<OperatorClient>
  proven<Result>(send: (proof: PersonProof | undefined) => Promise<Result>): Promise<Result>
  /** Ends what was started for the command. */
  leave(): Promise<void>
}

/**
 * Where a command does its work: at the running broker, or, when none runs, at a core that is opened in this process
 * for the time of the command (no listener, no recovery).
 */
export function within(parts: {
  readonly home: string
  readonly configFile: string | null
  readonly terminal: Terminal
  readonly secretly: (question: string) => Promise<string>
}): Place {
  let client: Promise<OperatorClient> | null = null
  let close: () => Promise<void> = async () => undefined

  const connect = async (): Promise<OperatorClient> => {
    try {
      return await operatorClient({ home: parts.home })
    } catch (problem) {
      if (!(problem instanceof Failure) || problem.exit !== exitCodes.unreachable) throw problem
      const own = await embedded(parts)
      close = own.close
      return own.client
    }
  }
  return {
    operators: () => (client ??= connect()),
    async proven(send) {
      try {
        return await send(undefined)
      } catch (problem) {
        if (!(problem instanceof OperatorFailure) || problem.code !== 'needs-proof' || !parts.terminal.interactive) throw problem
        return send({ passphrase: await parts.secretly('your passphrase: ') })
      }
    },
    leave: () => close(),
  }
}

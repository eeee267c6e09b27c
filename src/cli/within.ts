import { embedded } from './embedded.ts'
import { exitCodes, Failure, type Terminal } from './output.ts'
import { operatorClient, OperatorFailure, type OperatorClient, type PersonProof } from './client.ts'

export type Place = {
  operators(): Promise<OperatorClient>
  proven<Result>(send: (proof: PersonProof | undefined) => Promise<Result>): Promise<Result>
  /** Ends what was started for the command. */
  leave(): Promise<void>
}

/** After so many wrong passphrases the command ends. */
const mostTries = 3

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
  // Accepted once, good for the rest of the command: adopting sends dozens of requests.
  let accepted: PersonProof | undefined

  const connect = async (): Promise<OperatorClient> => {
    try {
      return await operatorClient({ home: parts.home, keys: await keysOf(parts) })
    } catch (problem) {
      if (!(problem instanceof Failure) || problem.exit !== exitCodes.unreachable) throw problem
      const own = await embedded(parts)
      close = own.close
      return own.client
    }
  }
  const prove = async <Result>(send: (proof: PersonProof) => Promise<Result>): Promise<Result> => {
    for (let tries = 1; ; tries += 1) {
      const proof = { passphrase: await parts.secretly('your passphrase: ') }
      try {
        const result = await send(proof)
        accepted = proof
        return result
      } catch (problem) {
        if (!(problem instanceof OperatorFailure)) throw problem
        if (![401, 403, 429].includes(problem.status)) accepted = proof
        if (problem.code !== 'wrong-passphrase' || tries >= mostTries) throw problem
        parts.terminal.err('that passphrase is not right\n')
      }
    }
  }
  const operators = () => (client ??= connect())
  return {
    operators,
    async proven(send) {
      try {
        return await send(accepted)
      } catch (problem) {
        if (accepted !== undefined || !parts.terminal.interactive || !asksForProof(problem)) throw problem
        const { passphraseSet } = await (await operators()).get('/v1/status')
        if (passphraseSet !== false) return prove(send)
        const why = 'this needs your passphrase, and none is set yet'
        throw new Failure(
          why,
          'press p in the terminal that runs the broker, then this again',
          exitCodes.denied,
        )
      }
    },
    async leave() {
      // One that is still being opened is waited for: it would keep its store locked.
      await client?.catch(() => undefined)
      await close()
    },
  }
}

/**
 * Where `operator.token` lies. A configuration that is not sound keeps nobody from taking authority away: the key is
 * then looked for where it usually is.
 */
export async function keysOf({
  home,
  configFile,
}: {
  readonly home: string
  readonly configFile: string | null
}): Promise<string> {
  if (configFile === null) return home
  const { ConfigError, loadConfig } = await import('../config/load.ts')
  try {
    return loadConfig(configFile).config.keys ?? home
  } catch (problem) {
    if (problem instanceof ConfigError) return home
    throw problem
  }
}

const asksForProof = (problem: unknown): boolean =>
  problem instanceof OperatorFailure && problem.code === 'needs-proof'

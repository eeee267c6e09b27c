import { dirname } from 'node:path'
import { emptyConfig, loadConfig } from '../config/load.ts'
import { isJsonObject, type JsonObject } from '../lib/json.ts'
import { openBroker } from '../broker.ts'
import { OperatorFailure, type OperatorClient, type PersonProof } from './client.ts'

/**
 * The operators' API without a running broker: the same routes over a core in this process. Before a passphrase is set
 * the person who runs the command counts as being at the broker's terminal; after that only the passphrase proves them.
 */
export async function embedded(parts: {
  readonly home: string
  readonly configFile: string | null
}): Promise<{ readonly client: OperatorClient; close(): Promise<void> }> {
  const loaded = parts.configFile === null ? emptyConfig(dirname(parts.home)) : loadConfig(parts.configFile)
  const broker = await openBroker({ ...loaded, config: { ...loaded.config, home: parts.home } })
  const provable = await broker.core.gate.hasPassphrase()

  const ask = async (request: {
    method: string
    path: string
    query?: { readonly [name: string]: string }
    body?: JsonObject
    proof?: PersonProof | undefined
  }) => {
    const { proof, ...rest } = request
    const answer = await broker.api({
      ...rest,
      headers: {
        authorization: `Bearer ${broker.operatorKey}`,
        ...(proof === undefined
          ? {}
          : { 'countersign-passphrase': Buffer.from(proof.passphrase, 'utf8').toString('base64url') }),
        ...(proof?.operator === undefined ? {} : { 'countersign-operator': proof.operator }),
      },
      ...(provable ? {} : { level: 'terminal' as const }),
    })
    if (answer.status < 400) return answer.body
    const error = isJsonObject(answer.body['error']) ? answer.body['error'] : {}
    const say = (value: unknown) => (typeof value === 'string' ? value : '')
    throw new OperatorFailure({
      status: answer.status,
      code: say(error['code']),
      message: say(error['message']),
      hint: say(error['hint']),
    })
  }
  const client: OperatorClient = {
    run: { pid: process.pid, agents: '', operators: '', startedAt: new Date().toISOString() },
    get: (path, query = {}) =>
      ask({
        method: 'GET',
        path,
        query: Object.fromEntries(
          Object.entries(query).flatMap(([name, value]) =>
            value === undefined ? [] : [[name, String(value)]],
          ),
        ),
      }),
    send: (method, path, body, proof) =>
      ask({ method, path, ...(body === undefined ? {} : { body }), proof }),
    async *events() {
      // Nothing happens here but this command.
    },
  }
  return { client, close: () => broker.close() }
}

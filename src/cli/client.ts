import { exitCodes, Failure, type ExitCode } from './output.ts'
import { isJsonObject, type JsonObject } from '../lib/json.ts'
import { PrivateFileError } from '../identity/private.ts'
import { readOperatorKey } from '../identity/operator.ts'
import { readRunFile, startHint, type RunFile } from './run.ts'

/** What proves a person besides the key in the home folder. */
export type PersonProof = { readonly passphrase: string; readonly operator?: string }

export type OperatorClient = {
  readonly run: RunFile
  get(path: string, query?: { readonly [name: string]: string | number | undefined }): Promise<JsonObject>
  send(
    method: 'POST' | 'PUT' | 'DELETE',
    path: string,
    body?: JsonObject,
    proof?: PersonProof,
  ): Promise<JsonObject>
  /** What happens, as it happens, until `signal` aborts or the broker ends. */
  events(signal: AbortSignal): AsyncGenerator<JsonObject, void, undefined>
}

/** An error that the operators' API answered with. `code` is stable; `needs-proof` means: ask for the passphrase and send again. */
export class OperatorFailure extends Failure {
  readonly code: string
  readonly status: number
  constructor(answer: {
    readonly status: number
    readonly code: string
    readonly message: string
    readonly hint: string
  }) {
    super(answer.message, answer.hint, exitOf(answer.status))
    this.code = answer.code
    this.status = answer.status
  }
}

/** A client of the broker that runs in `home`. Throws `Failure` (exit 3) with a hint when none runs. */
export async function operatorClient({
  home,
  keys = home,
  timeoutMs = 120_000,
}: {
  readonly home: string
  /** The folder of `operator.token` when it is not `home`. */
  readonly keys?: string
  readonly timeoutMs?: number
}): Promise<OperatorClient> {
  const run = await readRunFile(home)
  const key = await readOperatorKey(keys).catch((problem: unknown) => {
    if (!(problem instanceof PrivateFileError)) throw problem
    throw new Failure(problem.message, problem.hint)
  })
  const request = async (
    method: string,
    path: string,
    more: { readonly body?: JsonObject; readonly proof?: PersonProof; readonly signal?: AbortSignal },
  ) => {
    const signal = more.signal ?? AbortSignal.timeout(timeoutMs)
    try {
      return await fetch(new URL(path, run.operators), {
        method,
        headers: headersOf(key, more.body, more.proof),
        redirect: 'error',
        signal,
        ...(more.body === undefined ? {} : { body: JSON.stringify(more.body) }),
      })
    } catch {
      if (more.signal?.aborted === true) throw more.signal.reason
      throw new Failure(`the broker at ${run.operators} does not answer`, startHint, exitCodes.unreachable)
    }
  }

  return {
    run,
    async get(path, query = {}) {
      const search = new URLSearchParams()
      for (const [name, value] of Object.entries(query))
        if (value !== undefined) search.set(name, String(value))
      return answerOf(await request('GET', search.size === 0 ? path : `${path}?${search.toString()}`, {}))
    },
    async send(method, path, body, proof) {
      return answerOf(
        await request(method, path, {
          ...(body === undefined ? {} : { body }),
          ...(proof === undefined ? {} : { proof }),
        }),
      )
    },
    async *events(signal) {
      const response = await request('GET', '/v1/events', { signal })
      if (!response.ok || response.body === null) return void (await answerOf(response))
      yield* unfold(response.body)
    },
  }
}

function headersOf(
  key: string,
  body: JsonObject | undefined,
  proof: PersonProof | undefined,
): { readonly [name: string]: string } {
  return {
    authorization: `Bearer ${key}`,
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    // Headers are Latin-1; a passphrase is not.
    ...(proof === undefined
      ? {}
      : { 'countersign-passphrase': Buffer.from(proof.passphrase, 'utf8').toString('base64url') }),
    ...(proof?.operator === undefined ? {} : { 'countersign-operator': proof.operator }),
  }
}

async function answerOf(response: Response): Promise<JsonObject> {
  const body: unknown = await response.json().catch(() => null)
  if (response.ok && isJsonObject(body)) return body
  const error = isJsonObject(body) && isJsonObject(body['error']) ? body['error'] : {}
  throw new OperatorFailure({
    status: response.status,
    code: textOr(error['code'], 'unknown'),
    message: textOr(error['message'], `the broker answered with status ${response.status}`),
    hint: textOr(error['hint'], 'look at the terminal that runs the broker'),
  })
}

const textOr = (value: unknown, otherwise: string): string =>
  typeof value === 'string' && value !== '' ? value : otherwise

const exitOf = (status: number): ExitCode =>
  status === 401 || status === 403 || status === 422 ? exitCodes.denied : exitCodes.failed

/** One JSON value per event. The broker writes each `data` in one line. */
async function* unfold(body: ReadableStream<Uint8Array>): AsyncGenerator<JsonObject, void, undefined> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of body) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const value: unknown = line.startsWith('data: ') ? JSON.parse(line.slice(6)) : null
      if (isJsonObject(value)) yield value
    }
  }
}

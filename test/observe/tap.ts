import { createServer, request, type IncomingMessage } from 'node:http'
import { isJsonObject, type JsonObject } from '../../src/lib/json.ts'

/** Stands between the broker and a server and keeps what the broker sent. */
export type Tap = {
  readonly url: string
  /** Requests of one method, as they came. */
  sent(
    method: string,
  ): readonly { readonly headers: IncomingMessage['headers']; readonly params: JsonObject }[]
  readonly bytes: () => string
  close(): Promise<void>
}

export async function startTap(to: string): Promise<Tap> {
  const seen: { readonly headers: IncomingMessage['headers']; readonly body: string }[] = []
  const server = createServer((req, res) => {
    const chunks: Buffer[] = []
    req.on('data', (chunk: Buffer) => chunks.push(chunk))
    req.on('end', () => {
      const body = Buffer.concat(chunks)
      seen.push({ headers: req.headers, body: body.toString('utf8') })
      const { host: _host, ...headers } = req.headers
      const onward = request(to, { method: req.method, headers }, (answer) => {
        res.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.pipe(res)
      })
      onward.on('error', () => res.destroy())
      res.on('close', () => onward.destroy())
      onward.end(body)
    })
  })
  await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port: 0 }, resolve))
  const address = server.address()
  const port = address !== null && typeof address === 'object' ? address.port : 0
  return {
    url: `http://127.0.0.1:${port}${new URL(to).pathname}`,
    sent: (method) =>
      seen.flatMap(({ headers, body }) => {
        const message: unknown = body === '' ? null : JSON.parse(body)
        if (typeof message !== 'object' || message === null || !('method' in message)) return []
        const params: unknown = 'params' in message ? message.params : {}
        return message.method === method ? [{ headers, params: asObject(params) }] : []
      }),
    bytes: () => JSON.stringify(seen),
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const asObject = (value: unknown): JsonObject => {
  const parsed = JSON.parse(JSON.stringify(value ?? {}))
  return isJsonObject(parsed) ? parsed : {}
}

import { isJsonObject } from '../../src/lib/json.ts'
import { loadConfig } from '../../src/config/load.ts'
import { startBroker } from '../../src/broker.ts'

/**
 * A whole broker as a process that is going to be killed. Whoever started it sits at its terminal: what comes over the
 * channel is done as by a key that is pressed there.
 */
const tell = (message: object): void => void process.send?.(message)
const broker = await startBroker(loadConfig(process.argv[2] ?? ''), {
  onFault: (fault) => tell({ fault: fault instanceof Error ? `${fault.name}: ${fault.message}` : 'a fault' }),
})

process.on('message', (message: unknown) => {
  if (!isJsonObject(message)) return
  const { id = 0, method, path, query, body } = message
  if (method === 'close') {
    void broker.close().then(() => process.disconnect())
    return
  }
  const request = {
    method: String(method),
    path: String(path),
    level: 'terminal' as const,
    ...(isJsonObject(query) ? { query: textsOf(query) } : {}),
    ...(isJsonObject(body) ? { body } : {}),
  }
  void broker.api(request).then((answer) => tell({ id, status: answer.status, body: answer.body }))
})
// Without whoever started it there is nobody to end it.
process.on('disconnect', () => process.exit())

const textsOf = (query: object): { readonly [name: string]: string } =>
  Object.fromEntries(Object.entries(query).map(([name, value]) => [name, String(value)]))

const status = await broker.api({ method: 'GET', path: '/v1/status', level: 'terminal' })
tell({
  ready: {
    name: String(status.body['broker']),
    vkey: broker.publisher.vkey,
    recovered: broker.recovered.length,
  },
})
await broker.listed
tell({ listed: true })

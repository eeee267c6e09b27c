import { agentKeyPath, createKey } from '../identity/key.ts'
import { writePrivate } from '../identity/private.ts'
import type { Invocation } from './command.ts'
import type { JsonObject } from '../lib/json.ts'

/** The broker takes the new key first: a file that changed alone would lock the agent out. */
export async function rotateAgentKey(invocation: Invocation, name: string): Promise<JsonObject> {
  const api = await invocation.operators()
  const key = createKey()
  const path = `/v1/agents/${encodeURIComponent(name)}/key`
  const answer = await invocation.proven((proof) =>
    api.send('PUT', path, { publicKey: key.publicKey }, proof),
  )
  await writePrivate(agentKeyPath(invocation.home, name), JSON.stringify(key.jwk), 'replace')
  return answer
}

import assert from 'node:assert/strict'
import { call, endings, ofKind, refusal, waitNoMore } from '../play.ts'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { createAgentKey, loadAgentKey } from '../../../src/identity/key.ts'
import { isJsonObject, type JsonObject } from '../../../src/lib/json.ts'
import { signProof } from '../../../src/identity/proof.ts'
import { startHostile, type Hostile, type Offers } from '../servers/hostile.ts'
import { world, type World } from '../../world.ts'

/**
 * What an incident needs: a broker under the starter policy `guarded`, servers that behave as in the incident, reviews as
 * the owner of such a server would write them, and tasks that a person opens in their own words. The model is the test:
 * it does what the attacker wants.
 */
export type Scene = {
  readonly world: World
  readonly servers: { readonly [name: string]: Hostile }
  /** Opens a task in the person's words, from a fresh start, and connects the agent to it. */
  task(words: string, agent?: string): Promise<Client>
  /** Connects the agent to a task that is open already. */
  join(task: string, agent: string): Promise<Client>
  close(): Promise<void>
}

export type Reviews = NonNullable<Parameters<World['reviewAll']>[0]>

export async function scene(offers: { readonly [server: string]: Offers }, reviews: Reviews): Promise<Scene> {
  const ends = endings()
  const servers: { [name: string]: Hostile } = {}
  for (const [name, offered] of Object.entries(offers)) servers[name] = ends.add(await startHostile(offered))
  const made = ends.add(
    await world({
      servers: Object.fromEntries(Object.entries(servers).map(([name, { url }]) => [name, { url }])),
      agents: { agent: {}, other: {} },
      config: { ...waitNoMore, policy: { starter: 'guarded' } },
      unreviewed: true,
    }),
  )
  await made.reviewAll(reviews)
  const join: Scene['join'] = async (task, agent) => {
    const client = await connect(made, agent, task)
    ends.add({ close: () => client.close() })
    return client
  }
  return {
    world: made,
    servers,
    task: async (words, agent = 'agent') => join(await openTask(made, agent, words), agent),
    join,
    close: () => ends.close(),
  }
}

async function openTask({ broker }: World, agent: string, words: string): Promise<string> {
  const operator = { name: 'operator', proof: 'terminal' } as const
  const { tasks } = broker.core
  // What one task of an agent has read holds for its other open ones: those of the scene before are over.
  for (const one of await tasks.list({ agent, state: 'open' }))
    await tasks.close(one.id, 'completed', operator)
  const opened = await tasks.open({ agent, by: 'person', words, fresh: true }, operator)
  assert.ok(opened.ok, JSON.stringify(opened))
  return opened.task.id
}

/** The agent proves its key and takes up the task that was opened for it. */
async function connect({ broker, home }: World, agent: string, task: string): Promise<Client> {
  const key = await loadAgentKey(home, agent).catch(() => createAgentKey(home, agent))
  const audience = new URL('/token', broker.urls.agents).href
  const answer = await fetch(audience, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      authorization_details: JSON.stringify([{ type: 'task', task }]),
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: await signProof({ agent, key, audience, now: Date.now() }),
    }),
  })
  const body: unknown = await answer.json()
  assert.ok(isJsonObject(body) && typeof body['access_token'] === 'string', JSON.stringify(body))
  const client = new Client(
    { name: 'test', version: '1' },
    { capabilities: { elicitation: {} }, versionNegotiation: { mode: 'auto' } },
  )
  const authorization = `Bearer ${body['access_token']}`
  await client.connect(
    new StreamableHTTPClientTransport(new URL('/mcp', broker.urls.agents), {
      requestInit: { headers: { authorization } },
    }),
  )
  return client
}

export type Step = {
  readonly client: Client
  readonly server: string
  readonly tool: string
  readonly args: JsonObject
}

const made = (at: Scene, { server, tool }: Step): number =>
  (at.servers[server]?.calls ?? []).filter((one) => one.tool === tool).length

/** The step is made, reaches its server and is answered: no person is bothered. */
export async function passes(at: Scene, step: Step): Promise<string> {
  const before = made(at, step)
  const result = await call(step.client, `${step.server}__${step.tool}`, step.args)
  assert.equal(refusal(result), null, JSON.stringify(result))
  assert.equal(made(at, step), before + 1)
  return JSON.stringify(result.content)
}

/**
 * The step waits for a person, and the person refuses: nothing of it reached its server. Gives the policies that its entry
 * in the log names.
 */
export async function stops(at: Scene, step: Step): Promise<readonly string[]> {
  const before = made(at, step)
  const result = await call(step.client, `${step.server}__${step.tool}`, step.args)
  const code = refusal(result)
  assert.ok(code === 'approval-required' || code === 'denied', `expected a refusal, found ${code}`)
  if (code === 'approval-required') {
    const ask = await at.world.nextAsk()
    assert.deepEqual(ask.arguments, step.args)
    await at.world.answer(ask, 'refuse')
  }
  assert.equal(made(at, step), before)
  const entry = (await ofKind(at.world, 'refused', code)).at(-1)
  const policies = entry?.['policies']
  assert.ok(Array.isArray(policies), JSON.stringify(entry))
  return policies
    .map((one) => String(one).replace('guarded/', ''))
    .filter((one) => one !== 'same-environment')
}

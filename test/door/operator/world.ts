import { createAgents } from '../../../src/identity/agents.ts'
import { createApprovals } from '../../../src/approval/approvals.ts'
import { createGate } from '../../../src/identity/operator.ts'
import { createHub } from '../../../src/observe/hub.ts'
import { createKey } from '../../../src/identity/key.ts'
import { createOperatorApi, type OperatorRequest } from '../../../src/door/operator/api.ts'
import { createTokens } from '../../../src/identity/token.ts'
import { refuse } from '../../../src/call/refusal.ts'
import { quickPassphrases, template } from '../../identity/scratch.ts'
import { world as taskWorld } from '../../task/world.ts'
import type { Arrival } from '../../../src/call/states.ts'
import type { OperatorParts } from '../../../src/door/operator/parts.ts'

export const key = 'k'.repeat(43)
export const passphrase = 'correct horse battery'

/** The operators' API on a real store; what other parts are asked to do is written down. */
export async function world(held = key) {
  const made = await taskWorld()
  const { store, acts, clock, tasks, revocations } = made
  const gate = createGate({
    key: held,
    operator: 'operator',
    settings: store.settings,
    acts,
    passphrases: quickPassphrases,
  })
  const asked: (readonly [string, unknown])[] = []
  const note = (what: string) => (value: unknown) => {
    asked.push([what, value])
    return Promise.resolve({ ok: true as const, value: { done: what } })
  }
  const arrivals: Arrival[] = []
  const path = (arrival: Arrival) => {
    arrivals.push(arrival)
    // The door has this operator inside only while the request runs.
    const inside =
      arrival.credential.kind === 'operator' &&
      gate.holds(arrival.credential.sessionId, arrival.credential.name)
    const waits = arrival.wanted.name === 'waits'
    return Promise.resolve(refuse(waits ? 'approval-required' : 'denied', 'decide', `inside: ${inside}`))
  }
  const faults: unknown[] = []
  const parts: OperatorParts = {
    clock,
    gate,
    hub: createHub(),
    tasks,
    revocations,
    agents: createAgents({
      store: store.agents,
      tasks,
      revocations,
      isPerson: async (name) => name === 'operator',
      acts,
      clock,
    }),
    approvals: createApprovals({ store: store.approvals, acts, clock }),
    tokens: await createTokens({ issuer: 'http://broker', audience: 'http://broker/mcp', key: createKey() }),
    registry: {
      servers: () => Promise.reject(new Error('a fault with a secret in it')),
      server: () => Promise.resolve(null),
      addServer: note('addServer'),
      removeServer: note('removeServer'),
      reviews: async () => null,
      profile: async () => ({ ok: true, profile: null }),
      lint: async () => null,
      refreshServer: note('refreshServer'),
      tools: () => Promise.resolve([]),
      tool: () => Promise.resolve(null),
      diff: (id) => Promise.resolve({ id }),
      review: note('review'),
    },
    policy: {
      where: () => [],
      show: () => Promise.resolve({ version: 'v' }),
      check: () => Promise.resolve({ ok: true }),
      swap: note('swap'),
      suggestion: () => Promise.resolve({ text: '' }),
    },
    secrets: {
      list: () => Promise.resolve([{ name: 'api', at: 0 }]),
      set: note('set'),
      remove: note('remove'),
    },
    calls: { run: path, explain: path },
    audit: {
      recent: () => Promise.resolve([]),
      entry: () => Promise.resolve(null),
      call: () => Promise.resolve([]),
      receipt: () => Promise.resolve(null),
      checkpoint: () => Promise.resolve(null),
      export: note('export'),
      erase: note('erase'),
    },
    status: () => Promise.resolve({ version: '0' }),
    defaults: { owner: 'owner', template },
    onFault: (fault) => void faults.push(fault),
  }
  const api = createOperatorApi(parts)
  const send = (method: string, path: string, more: Partial<OperatorRequest> = {}) =>
    api({ method, path, headers: { authorization: `Bearer ${held}` }, ...more })
  const proved = {
    authorization: `Bearer ${held}`,
    'countersign-passphrase': Buffer.from(passphrase).toString('base64url'),
  }
  const prove = (method: string, path: string, body?: unknown) =>
    send(method, path, { headers: proved, body })
  const setPassphrase = () => gate.setPassphrase(passphrase, 'operator', gate.atTerminal())
  return { ...made, parts, api, send, prove, setPassphrase, asked, arrivals, faults, proved }
}

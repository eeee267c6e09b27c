import { rfc3339 } from '../../lib/clock.ts'
import { shortDigest } from '../../approval/digest.ts'
import type { Ask } from '../../approval/ask.ts'
import type { Fact } from '../../observe/hub.ts'
import type { JsonObject } from '../../lib/json.ts'

/** A fact as watchers get it. Arguments are not in it: they are looked up with the ask, by those who answer. */
export function factShown(fact: Fact): JsonObject {
  switch (fact.kind) {
    case 'ask':
    case 'answered':
      return { kind: fact.kind, at: rfc3339(fact.at), ...askShown(fact.ask) }
    case 'call':
    case 'act':
      return { ...fact, at: rfc3339(fact.at) }
  }
}

const askShown = (ask: Ask): JsonObject => ({
  ask: ask.id,
  state: ask.state,
  short: shortDigest(ask.digest),
  call: ask.call,
  task: ask.task,
  agent: ask.agent,
  owner: ask.owner,
  tool: ask.tool,
  expiresAt: rfc3339(ask.expiresAt),
})

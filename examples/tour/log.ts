import { expect, kindOf, list, type Logged } from './step.ts'
import { isJsonObject } from '../../src/lib/json.ts'
import { setTimeout as sleep } from 'node:timers/promises'
import type { OperatorClient } from '../../src/cli/client.ts'

export type LogReader = {
  /** How many entries there were before the tour began. */
  readonly before: number
  /** Every entry since the last time, oldest first: nothing is left out. */
  fresh(): Promise<readonly Logged[]>
  /** The same, once an entry of this kind is among them (`act:task-closed`). Ten seconds at most. */
  until(kind: string): Promise<readonly Logged[]>
  /** The whole log, the set-up included. */
  all(): Promise<readonly Logged[]>
}

/** Reads the log as an operator does: through the API. */
export async function logReader(operators: OperatorClient): Promise<LogReader> {
  const after = async (index: number): Promise<readonly Logged[]> => {
    const answer = await operators.get('/v1/audit/recent', { limit: 500 })
    return list(answer, 'entries')
      .flatMap((one) => (isLogged(one) && one.index > index ? [one] : []))
      .toSorted((one, other) => one.index - other.index)
  }
  let last = (await after(-1)).at(-1)?.index ?? -1
  const fresh = async (): Promise<readonly Logged[]> => {
    const found = await after(last)
    last = found.at(-1)?.index ?? last
    return found
  }
  return {
    before: last + 1,
    fresh,
    all: () => after(-1),
    async until(kind) {
      const found: Logged[] = []
      for (let tries = 0; tries < 500; tries += 1) {
        found.push(...(await fresh()))
        if (found.some((one) => kindOf(one) === kind)) return found
        await sleep(20)
      }
      expect(false, `an entry \`${kind}\` within ten seconds`, found.map(kindOf))
      return found
    },
  }
}

const isLogged = (value: unknown): value is Logged =>
  typeof value === 'object' &&
  value !== null &&
  'index' in value &&
  typeof value.index === 'number' &&
  'entry' in value &&
  isJsonObject(value.entry)

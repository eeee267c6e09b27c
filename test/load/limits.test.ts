import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { collections } from './collections.ts'
import { configSchema, limitsSchema } from '../../src/config/schema.ts'
import { defaultServersLimits } from '../../src/server/servers.ts'
import { doorSettings } from '../../src/door/mcp/ports.ts'
import { groups, limitsPage, numberOf, type Limit } from '../../scripts/limits-page.ts'
import { join, relative, resolve } from 'node:path'
import { listenerLimits } from '../../src/door/listener.ts'
import { pageText } from '../../scripts/pages.ts'
import { readdirSync, readFileSync } from 'node:fs'

/** The page of limits says what the code does, and no table in memory is without a bound that somebody has thought of. */

const all: readonly Limit[] = Object.values(groups).flat()
const listed = (file: string): readonly string[] =>
  all.filter((limit) => limit.file === file).map(({ name }) => name)
const numbers = (of: object): readonly string[] =>
  Object.entries(of).flatMap(([name, value]) => (typeof value === 'number' ? [name] : []))

describe('the page of limits', () => {
  test(`is what node ${limitsPage.from} writes`, async () => {
    assert.equal(pageText(limitsPage), await limitsPage.render())
  })

  test('names every limit of the listener, the door and servers, but for times that bound nothing', () => {
    const paces = ['keepAliveMs', 'graceMs', 'pollMs', 'recheckMs', 'listTtlMs', 'silenceMs']
    const configured = ['holdMs', 'legs', 'inputMs']
    const missing = (of: object, file: string): readonly string[] =>
      numbers(of).filter((name) => ![...listed(file), ...paces, ...configured].includes(name))
    assert.deepEqual(missing(listenerLimits, 'src/door/listener.ts'), [])
    assert.deepEqual(missing(doorSettings, 'src/door/mcp/ports.ts'), [])
    assert.deepEqual(missing(defaultServersLimits, 'src/server/servers.ts'), [])
    assert.deepEqual(missing(limitsSchema.parse({}), 'src/config/schema.ts'), [])
  })

  test('gives the numbers that the code has', () => {
    for (const [name, value] of Object.entries(listenerLimits))
      if (listed('src/door/listener.ts').includes(name))
        assert.equal(numberOf({ file: 'src/door/listener.ts', name }), value, name)
    const { load, approvals } = configSchema.parse({})
    assert.deepEqual(load, {
      connections: listenerLimits.connections,
      perAddress: listenerLimits.perRemote,
      requests: doorSettings.atOnce,
      requestsPerAgent: doorSettings.atOncePerAgent,
    })
    assert.equal(
      numberOf({ file: 'src/config/schema.ts', name: 'pendingPerAgent' }),
      approvals.pendingPerAgent,
    )
    for (const [name, value] of Object.entries(limitsSchema.parse({})))
      assert.equal(numberOf({ file: 'src/config/schema.ts', name }), value, name)
  })
})

describe('tables in memory', () => {
  const root = resolve(import.meta.dirname, '../../src')
  const elsewhere = ['adopt', 'cli', 'testing']
  const files = readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .filter((file) => !elsewhere.some((folder) => file.startsWith(`${folder}/`)))

  test('each have a bound that is written down in test/load/collections.ts', () => {
    const found = files.flatMap((file) => {
      const count = readFileSync(join(root, file), 'utf8').match(/new (?:Map|Set)(?:<.*>)?\(\)/g)?.length ?? 0
      return count === 0 ? [] : [[file, count] as const]
    })
    const written = Object.entries(collections).map(([file, [count]]) => [file, count] as const)
    assert.deepEqual(
      Object.fromEntries(found),
      Object.fromEntries(written),
      'a table is new or gone: say in test/load/collections.ts what bounds it',
    )
  })
})

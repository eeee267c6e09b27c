import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { join, resolve } from 'node:path'
import { loadConfig } from '../../src/config/load.ts'
import { parse } from 'yaml'
import { readFileSync } from 'node:fs'

/** examples/cluster: two nodes, a database, a balancer. */

const folder = join(resolve(import.meta.dirname, '../..'), 'examples/cluster')
const read = (name: string): string => readFileSync(join(folder, name), 'utf8')

type Service = {
  readonly image: string
  readonly user?: string
  readonly read_only?: boolean
  readonly cap_drop?: readonly string[]
  readonly ports?: readonly string[]
  readonly networks: readonly string[]
  readonly volumes: readonly string[]
  readonly stop_grace_period?: string
  readonly init?: boolean
}
type Compose = {
  readonly services: { readonly [name: string]: Service }
  readonly networks: { readonly [name: string]: { readonly internal?: boolean } }
}

describe('the example of a cluster', () => {
  const compose: Compose = parse(read('compose.yaml'), { merge: true })
  const { config } = loadConfig(join(folder, 'countersign.jsonc'))
  const service = (name: string): Service => {
    const found = compose.services[name]
    assert.ok(found, name)
    return found
  }

  test('the nodes differ in their home folder and in nothing else', () => {
    const { volumes: a } = service('a')
    const { volumes: b } = service('b')
    const rest = (one: Service): object =>
      Object.fromEntries(Object.entries(one).filter(([key]) => key !== 'volumes' && key !== 'hostname'))
    assert.deepEqual(rest(service('a')), rest(service('b')))
    assert.deepEqual(
      a.filter((one) => !b.includes(one)),
      ['./made/a:/var/lib/countersign'],
    )
  })

  test('a node has no rights and writes to its home folder alone', () => {
    const { read_only, cap_drop, volumes, ports, init, user } = service('a')
    assert.equal(read_only, true)
    assert.deepEqual(cap_drop, ['ALL'])
    assert.equal(init, true)
    assert.match(user ?? '', /COUNTERSIGN_USER/)
    assert.equal(ports, undefined)
    assert.deepEqual(
      volumes.filter((one) => !one.endsWith(':ro')).map((one) => one.split(':')[1]),
      ['/var/lib/countersign'],
    )
  })

  test('only the balancer is published, to this machine, and it does not reach the database', () => {
    const published = Object.entries(compose.services).flatMap(([name, { ports = [] }]) =>
      ports.map((port) => [name, port]),
    )
    assert.deepEqual(published, [['balancer', '127.0.0.1:7316:7316']])
    assert.equal(compose.networks['inside']?.internal, true)
    assert.deepEqual(service('balancer').networks, ['front'])
    assert.deepEqual(service('database').networks, ['inside'])
  })

  test('the configuration fits: one name for all nodes, certificates checked, time to end', () => {
    assert.equal(config.listen.agentsUrl, 'http://127.0.0.1:7316')
    const { store } = config
    assert.ok(store?.ca !== undefined)
    assert.ok(store.postgres.includes('@database:5432/'))
    const seconds = Number.parseInt(service('a').stop_grace_period ?? '0', 10)
    assert.ok(seconds > config.listen.drainSeconds + config.listen.graceSeconds)
    for (const path of [config.keys, store.passwordFile, store.ca])
      assert.match(path ?? '', /^\/run\/countersign\//)
  })

  test('the balancer asks whether a node is ready, and waits longer than a call for a person', () => {
    const balancer = read('haproxy.cfg')
    assert.match(balancer, /http-check send meth GET uri \/readyz/)
    const [, seconds] = /timeout server (\d+)s/.exec(balancer) ?? []
    assert.ok(Number(seconds) > config.approvals.holdSeconds)
  })
})

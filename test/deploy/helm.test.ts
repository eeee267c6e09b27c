import assert from 'node:assert/strict'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { configSchema } from '../../src/config/schema.ts'
import { describe, test, type TestContext } from 'node:test'
import { execFile } from 'node:child_process'
import { join, resolve } from 'node:path'
import { loadKeys } from '../../src/compose/keys.ts'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { parse, parseAllDocuments } from 'yaml'
import { readFileSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'

/** The chart. What needs `helm` (in PATH, or named in HELM) is skipped where there is none. */

const root = resolve(import.meta.dirname, '../..')
const chart = join(root, 'deploy/helm/countersign')
const example = join(root, 'deploy/helm/example-values.yaml')
const read = (path: string): string => readFileSync(path, 'utf8')

type Tree = { readonly [name: string]: unknown }
const isTree = (value: unknown): value is Tree =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
/** What lies at the path, through lists by index; undefined when nothing does. */
const at = (value: unknown, ...path: readonly (string | number)[]): unknown =>
  path.reduce<unknown>(
    (inner, key) =>
      Array.isArray(inner) ? inner[Number(key)] : isTree(inner) ? inner[String(key)] : undefined,
    value,
  )
const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])

const merged = (base: unknown, over: unknown): unknown =>
  isTree(base) && isTree(over)
    ? Object.fromEntries(
        [...new Set([...Object.keys(base), ...Object.keys(over)])].map((key) => [
          key,
          key in over ? merged(base[key], over[key]) : base[key],
        ]),
      )
    : over

describe('the values', () => {
  const schema: unknown = JSON.parse(read(join(chart, 'values.schema.json')))
  const values: unknown = parse(read(join(chart, 'values.yaml')))
  const given: unknown = merged(values, parse(read(example)))
  assert.ok(isTree(schema))
  const validate = new Ajv2020({ allErrors: true, strict: false }).compile(schema)

  test('without an image, keys and a database nothing is made', () => {
    assert.equal(validate(values), false)
    const where = (validate.errors ?? []).map(({ instancePath }) => instancePath)
    assert.deepEqual([...new Set(where)].toSorted(), [
      '/image/repository',
      '/keys/existingSecret',
      '/postgres/url',
    ])
  })

  test('the example is enough', () => {
    assert.equal(validate(given), true, JSON.stringify(validate.errors))
  })

  for (const [name, change] of [
    ['a password in the URL of the database', { postgres: { url: 'postgres://u:secret@h/d' } }],
    ['a key that the chart sets', { config: { home: '/elsewhere' } }],
    ['a key that does not exist', { replica: 3 }],
    ["operators' listener for everybody", { service: { operators: { type: 'LoadBalancer' } } }],
    ['nobody who may reach it', { networkPolicy: { agents: [] } }],
    ['an address with a path', { agentsUrl: 'https://tools.example.com/mcp' }],
  ] as const)
    test(`${name} is refused`, () => assert.equal(validate(merged(given, change)), false))

  test('every value has a form in the schema, and every form a value', () => {
    const forms = at(schema, 'properties')
    assert.ok(isTree(values) && isTree(forms))
    const known = Object.keys(forms).filter((key) => key !== 'global')
    assert.deepEqual(Object.keys(values).toSorted(), known.toSorted())
  })

  test('every value is used by a template', () => {
    const templates = readdirSync(join(chart, 'templates'), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => read(join(entry.parentPath, entry.name)))
      .join('\n')
    assert.ok(isTree(values))
    for (const key of Object.keys(values))
      assert.match(templates, new RegExp(`Values\\.${key}\\b`), `nothing uses \`${key}\``)
  })
})

const helm = (...args: readonly string[]): Promise<{ readonly out: string; readonly code: number | null }> =>
  new Promise((done) =>
    execFile(
      process.env['HELM'] ?? 'helm',
      [...args],
      { timeout: 30_000, maxBuffer: 4 * 1024 * 1024 },
      (problem, out, err) =>
        done(
          problem !== null && problem.code === 'ENOENT'
            ? { out: '', code: null }
            : { out: problem === null ? out : `${out}${err}`, code: problem === null ? 0 : 1 },
        ),
    ),
  )

const rendered = async (t: TestContext, ...more: readonly string[]): Promise<readonly Tree[] | null> => {
  const { out, code } = await helm(
    'template',
    'cs',
    chart,
    '-n',
    'tools',
    '-f',
    example,
    '--kube-version',
    '1.33.0',
    ...more,
  )
  if (code === null) t.skip('helm is not installed')
  if (code === null) return null
  assert.equal(code, 0, out)
  return parseAllDocuments(out).flatMap((document) => {
    const value: unknown = document.toJS()
    return isTree(value) ? [value] : []
  })
}

describe('what the chart makes', () => {
  const kind = (all: readonly Tree[], name: string): Tree => {
    const found = all.find((one) => one['kind'] === name)
    assert.ok(found, name)
    return found
  }

  test('helm finds nothing wrong with it', async (t) => {
    const { out, code } = await helm('lint', '--strict', chart, '-f', example)
    if (code === null) return t.skip('helm is not installed')
    assert.equal(code, 0, out)
  })

  test('the configuration is one that the broker takes', async (t) => {
    const all = await rendered(t)
    if (all === null) return
    const config = configSchema.parse(
      JSON.parse(String(at(kind(all, 'ConfigMap'), 'data', 'countersign.jsonc'))),
    )
    assert.equal(config.listen.agentsUrl, 'https://tools.example.com')
    assert.ok(config.listen.allowedHosts.includes('cs-countersign-agents.tools.svc'))
    assert.equal(config.servers['tracker']?.environment, 'production')
    assert.equal(config.store?.passwordFile, '/run/countersign/postgres/password')
  })

  test('the pod: no right, no token, nothing to write to but its own', async (t) => {
    const all = await rendered(t)
    if (all === null) return
    const pod = at(kind(all, 'StatefulSet'), 'spec', 'template', 'spec')
    const container = at(pod, 'containers', 0)
    assert.equal(at(pod, 'automountServiceAccountToken'), false)
    assert.equal(at(pod, 'securityContext', 'runAsNonRoot'), true)
    assert.equal(at(pod, 'securityContext', 'seccompProfile', 'type'), 'RuntimeDefault')
    assert.equal(at(container, 'securityContext', 'readOnlyRootFilesystem'), true)
    assert.equal(at(container, 'securityContext', 'allowPrivilegeEscalation'), false)
    assert.deepEqual(at(container, 'securityContext', 'capabilities', 'drop'), ['ALL'])
    assert.match(String(at(container, 'image')), /@sha256:/)
    const writable = list(at(container, 'volumeMounts')).filter((mount) => at(mount, 'readOnly') !== true)
    assert.deepEqual(
      writable.map((mount) => at(mount, 'mountPath')),
      ['/var/lib/countersign', '/tmp'],
    )
  })

  test('its end: the pod is given longer than the broker takes', async (t) => {
    const all = await rendered(t)
    if (all === null) return
    const pod = at(kind(all, 'StatefulSet'), 'spec', 'template', 'spec')
    const config = configSchema.parse(
      JSON.parse(String(at(kind(all, 'ConfigMap'), 'data', 'countersign.jsonc'))),
    )
    const stop = Number(at(pod, 'containers', 0, 'lifecycle', 'preStop', 'sleep', 'seconds'))
    const { drainSeconds, graceSeconds } = config.listen
    assert.ok(Number(at(pod, 'terminationGracePeriodSeconds')) > stop + drainSeconds + graceSeconds)
    const { code, out } = await helm(
      'template',
      'cs',
      chart,
      '-f',
      example,
      '--kube-version',
      '1.33.0',
      '--set',
      'terminationGracePeriodSeconds=30',
    )
    assert.equal(code, 1)
    assert.match(out, /expected at least 55/)
  })

  test('the network: agents reach one port, operators the other, and nothing goes out unnamed', async (t) => {
    const all = await rendered(t)
    if (all === null) return
    const policy = kind(all, 'NetworkPolicy')
    assert.deepEqual(at(policy, 'spec', 'policyTypes'), ['Ingress', 'Egress'])
    const rules = list(at(policy, 'spec', 'ingress')).map((rule) => ({
      ports: list(at(rule, 'ports')).map((port) => at(port, 'port')),
      from: JSON.stringify(at(rule, 'from')),
    }))
    assert.deepEqual(
      rules.map(({ ports }) => ports),
      [['agents'], ['operators']],
    )
    assert.match(rules[0]?.from ?? '', /countersign\/agents/)
    assert.doesNotMatch(rules[1]?.from ?? '', /countersign\/agents/)
    for (const rule of list(at(policy, 'spec', 'egress'))) {
      assert.ok(list(at(rule, 'to')).length > 0, 'a rule without a destination lets everything out')
      assert.ok(list(at(rule, 'ports')).length > 0)
    }
  })

  test('keys come from a Secret with the files that the broker looks for, and no Secret is made', async (t) => {
    const all = await rendered(t)
    if (all === null) return
    assert.ok(!all.some((one) => one['kind'] === 'Secret'))
    const pod = at(kind(all, 'StatefulSet'), 'spec', 'template', 'spec')
    const volume = list(at(pod, 'volumes')).find((one) => at(one, 'name') === 'keys')
    assert.equal(at(volume, 'secret', 'secretName'), 'countersign-keys')
    const folder = await mkdtemp(join(tmpdir(), 'countersign-helm-'))
    t.after(() => rm(folder, { recursive: true }))
    await loadKeys({ home: folder, keys: folder })
    const named = read(join(chart, 'values.yaml'))
    for (const file of await readdir(folder)) assert.ok(named.includes(file), file)
  })
})

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { loadConfig } from '../../src/config/load.ts'

/** The image and the package as they are written down. What was built and run is told in docs/guides/run.md. */

const root = resolve(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

type Instruction = { readonly name: string; readonly rest: string }
/** Instructions by stage: comments gone, continued lines joined. */
const stages = (text: string): readonly (readonly Instruction[])[] => {
  const lines = text
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n')
    .replace(/\\\n/g, ' ')
    .split('\n')
  const all: Instruction[][] = [[]]
  for (const line of lines) {
    const [, name, rest] = /^([A-Z]+)\s+(.*)$/.exec(line.trim()) ?? []
    if (name === undefined || rest === undefined) continue
    if (name === 'FROM') all.push([])
    all.at(-1)?.push({ name, rest })
  }
  return all
}

describe('the image', () => {
  const parts = stages(read('deploy/container/Containerfile'))
  const last = parts.at(-1) ?? []
  const of = (name: string) => last.filter((one) => one.name === name).map(({ rest }) => rest)

  test('ends with nothing but what is copied in: no shell, no package manager, nothing run as root', () => {
    assert.deepEqual(of('FROM'), ['scratch'])
    assert.deepEqual(of('RUN'), [])
    assert.deepEqual(of('ADD'), [])
  })

  test('runs as a number that is nobody else, and as the first process gets the signal itself', () => {
    assert.deepEqual(of('USER'), ['65532:65532'])
    assert.deepEqual(of('STOPSIGNAL'), ['SIGTERM'])
    assert.match(of('ENTRYPOINT')[0] ?? '', /^\["\/usr\/local\/bin\/node", "\/app\/dist\/cli\/main\.js"\]$/)
    assert.match(of('HEALTHCHECK')[0] ?? '', /CMD \["\/usr\/local\/bin\/node", "\/app\/healthy\.mjs"\]/)
  })

  test('no package runs code while it is installed, and development stays behind', () => {
    const runs = parts
      .flat()
      .filter(({ name, rest }) => name === 'RUN' && /npm (ci|install|prune)/.test(rest))
    assert.ok(runs.length >= 2)
    for (const { rest } of runs) assert.match(rest, /--ignore-scripts/)
    assert.ok(runs.some(({ rest }) => /npm prune --omit=dev/.test(rest)))
  })

  test('all that is copied from the context is there, and passes the ignore file', () => {
    const allowed = read('.containerignore')
      .split('\n')
      .flatMap((line) => (line.startsWith('!') ? [line.slice(1)] : []))
    const copied = parts
      .flat()
      .filter(({ name, rest }) => name === 'COPY' && !rest.startsWith('--from'))
      .flatMap(({ rest }) => rest.split(/\s+/).slice(0, -1))
    assert.ok(copied.length > 0)
    for (const path of copied) {
      assert.ok(existsSync(join(root, path)), path)
      assert.ok(
        allowed.some((one) => path === one || path.startsWith(`${one}/`)),
        `${path} is ignored`,
      )
    }
  })

  test('nothing enters the context that is not named: keys and stores of whoever builds stay out', () => {
    const lines = read('.containerignore')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
    assert.equal(lines[0], '*')
    assert.ok(lines.slice(1).every((line) => line.startsWith('!')))
    assert.equal(read('.dockerignore'), read('.containerignore'))
  })

  test('its configuration is sound, and operators are not reached from outside', () => {
    const { config } = loadConfig(join(root, 'deploy/container/countersign.jsonc'))
    assert.equal(config.listen.agents, '0.0.0.0:7316')
    assert.match(config.listen.operators, /^127\.0\.0\.1:/)
    assert.equal(config.home, '/var/lib/countersign')
  })
})

describe('the package', () => {
  const manifest: unknown = JSON.parse(read('package.json'))
  const member = (name: string): unknown =>
    typeof manifest === 'object' && manifest !== null ? Reflect.get(manifest, name) : undefined

  test('holds the compiled program and its policies, built anew before it is packed', () => {
    const files = member('files')
    assert.ok(Array.isArray(files))
    for (const one of ['dist', 'policies', 'LICENSE', 'README.md']) assert.ok(files.includes(one), one)
    for (const one of ['src', 'test', 'deploy']) assert.ok(!files.includes(one), one)
    assert.deepEqual(Reflect.get(Object(member('scripts')), 'prepack'), 'npm run build')
  })

  test('every path that it names is made from a source that is there', () => {
    const named = [...Object.values(Object(member('bin'))), ...Object.values(Object(member('exports')))].map(
      String,
    )
    assert.ok(named.length >= 4)
    for (const path of named) {
      const source = path.replace(/^(?:\.\/)?dist\//, 'src/').replace(/\.js$/, '.ts')
      assert.ok(existsSync(join(root, source)), `${path} from ${source}`)
    }
  })

  test('what the sources read beside themselves is packed: policies by the path they have there', () => {
    assert.match(read('src/policy/starter.ts'), /\.\.\/\.\.\/policies\//)
    assert.match(read('src/config/version.ts'), /\.\.\/\.\.\/package\.json/)
  })
})

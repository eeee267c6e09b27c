import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { describe, it } from 'node:test'

/**
 * What is required, and which tests show it. Checked both ways: each requirement has tests by these very names, and
 * each test file and each test that names an invariant belongs to a requirement.
 */
type Requirement = {
  readonly what: string
  /** Files or folders whose tests belong to it. */
  readonly where: readonly string[]
  /** Some of those tests, by words of their names: the ones without which it would not be shown. */
  readonly shown: readonly string[]
}

const requirements: { readonly [id: string]: Requirement } = {
  I1: {
    what: 'Nothing reaches a server without a durable intent.',
    where: ['test/call/', 'test/house/', 'test/compose/'],
    shown: [
      'I1 I2 I3 I4 I5 I6 hold, budgets too, and the log verifies',
      'only stage 8 calls a server',
      'the intent',
      'I1 I2 I5: after ${after} calls',
    ],
  },
  I2: {
    what: 'Every intent gets exactly one outcome; the same write sent again after unknown asks.',
    where: ['test/call/', 'test/compose/', 'test/store/', 'src/testing/store/'],
    shown: [
      'I1 I2 I3 I4 I5 I6 hold, budgets too, and the log verifies',
      'I2: settles the intents of a dead incarnation as unknown',
      'is made again only when a person says so, in this task and in the next',
      'I2: used again it makes no second call',
      'has kept everything it was told is durable, nothing half, and its lock is free',
    ],
  },
  I3: {
    what: 'Nothing that a server said reaches the agent before its labels and the outcome are durable.',
    where: ['test/call/', 'test/server/'],
    shown: [
      'I1 I2 I3 I4 I5 I6 hold, budgets too, and the log verifies',
      'text beside the numbers of progress goes nowhere',
    ],
  },
  I4: {
    what: 'No decision outlives its run; an approval is consumed once.',
    where: ['test/call/', 'test/nodes/', 'src/testing/store/'],
    shown: [
      'a call that was moved is judged by what holds then',
      'lets the very call through once; the same again asks again',
      'I4: each approval was used by one chain',
      'an approval is consumed once, by whichever call is first',
    ],
  },
  I5: {
    what: 'A lent secret is never in the agent’s hands or the log; every lease is closed.',
    where: ['test/call/', 'test/compose/', 'test/credential/', 'test/flow/'],
    shown: [
      'I5: a lent secret that the server repeats is not in the answer',
      'I2 I5: settles what the last incarnation left',
    ],
  },
  I6: {
    what: 'A task’s labels only rise; a new task starts from those of the agent’s open and recent ones.',
    where: ['test/call/', 'test/flow/', 'src/testing/store/'],
    shown: [
      'I6: a task that read something is labelled with it',
      'I1 I2 I3 I4 I5 I6 hold, budgets too, and the log verifies',
    ],
  },
  I7: {
    what: 'Fail closed: a fault at any stage denies and leaves an entry.',
    where: ['test/call/', 'test/compose/', 'test/store/'],
    shown: [
      'I7: the store fails at',
      'I7: a port breaks its word:',
      'I7: a clock that jumps',
      'is written once, with the number of each code, when the log can be written again',
      'keeps what was counted when the log cannot be written, and writes it later',
    ],
  },
  I8: {
    what: 'What is sent is what was decided.',
    where: ['test/call/', 'test/door/', 'test/server/', 'test/lib/'],
    shown: ['I8: the server gets the arguments that were judged', 'is answered about exactly what is sent'],
  },
  house: {
    what: 'Layout, strictness, rules of the architecture.',
    where: ['test/house/', 'test/manifest.test.ts', 'test/tour/', 'test/docs/', 'test/examples/'],
    shown: ['only the path makes products of the path', 'what judges is pure'],
  },
  path: {
    what: 'Ten stages, sealed products, refusals as values, explain, recover, waiting at the door.',
    where: ['test/call/', 'test/compose/', 'test/observe/', 'test/world.test.ts', 'test/broker.test.ts'],
    shown: [
      'is refused by every stage when it is ${title}',
      'and no code is without an example',
      'never shows the reason nor what was known',
      'writes nothing, asks nobody, sends nothing',
      'an answer runs everything again, under the same call id',
    ],
  },
  store: {
    what: 'SQLite behind narrow ports with a contract suite; forward-only migrations; unknown versions refused.',
    where: ['test/store/', 'test/contract/'],
    shown: ['versions go forward one by one', 'a store that a newer program wrote is refused'],
  },
  nodes: {
    what: 'Several nodes on one PostgreSQL: none decides on what another has changed.',
    where: ['test/nodes/'],
    shown: [
      'a policy that was swapped on one is what the other decides its next call by',
      'a budget is spent once, whichever node its calls come to',
    ],
  },
  faults: {
    what: 'Each durable write fails or its process dies, on both engines, and the world is whole afterwards.',
    where: ['test/faults/'],
    shown: [],
  },
  fuzz: {
    what: 'Whatever is parsed is fed with hostile inputs: no crash, no leak, nothing unjudged passes.',
    where: ['test/fuzz/'],
    shown: [],
  },
  deploy: {
    what: 'Package, container, chart, unit and cluster example are what their guides say.',
    where: ['test/deploy/'],
    shown: [],
  },
  log: {
    what: 'Tamper-evident log in C2SP formats, verified offline.',
    where: ['test/audit/', 'test/vectors/'],
    shown: [
      'an edited entry is found and named by its index and call',
      'a deleted entry is found at its index',
      'two entries in the other order are found',
      'a cut log is sound by itself, and not against a checkpoint that was kept',
      'a fork, signed by the same key, does not pass a checkpoint that was kept',
      'a whole log that was made anew under another key is not this log',
    ],
  },
  registry: {
    what: 'Only reviewed tools exist; a change quarantines that tool only, with a diff.',
    where: ['test/registry/'],
    shown: [
      'a change quarantines that tool only',
      'a write that poses as a read is a danger',
      'a sleeper description',
    ],
  },
  servers: {
    what: 'MCP out, both eras, over stdio and streamable HTTP; limits; never a retry.',
    where: ['test/server/'],
    shown: [
      'two tasks never meet in one process',
      'a process gets PATH, what is configured and what was lent',
    ],
  },
  door: {
    what: 'MCP in, both eras; every method is a call or answered by the broker.',
    where: ['test/door/'],
    shown: [
      'is mapped whole, in both directions',
      'codes are pinned',
      'a denial of a tool is a result that a model can act on',
    ],
  },
  conformance: {
    what: 'What a client of MCP can do with a server directly it can do through the broker, in both eras.',
    where: ['test/conformance/'],
    shown: ['on its way through the broker', 'is what succeeds directly and fails, warns or is missing'],
  },
  identity: {
    what: 'Agents by key, short-lived tokens that name a task; tasks open, narrow, close.',
    where: ['test/identity/', 'test/task/', 'test/revocation/'],
    shown: [
      'another agent cannot pose as one by naming it',
      'a revoked agent, and a revoked task, get no token',
    ],
  },
  policy: {
    what: 'Cedar, validated strictly at load, swapped whole; starter sets; suggestions.',
    where: ['test/policy/'],
    shown: [],
  },
  approvals: {
    what: 'Bound to exactly these arguments, tool, task, agent, policy; single use; expiring; re-decided.',
    where: ['test/approval/', 'test/call/approvals.test.ts', 'test/door/'],
    shown: [
      'for one amount does not cover another, not even by one character',
      'for one task does not cover another, nor another agent',
      'given under one policy is of no use under the next',
      'of a tool that has changed meanwhile is of no use',
      'takes two different people',
      'consumes its approval once and pays once, however many legs it has',
      'asks: what is approved is what was looked at',
    ],
  },
  credentials: {
    what: 'A sealed store; lent per call or task; redacted.',
    where: ['test/credential/', 'test/flow/'],
    shown: [],
  },
  cli: {
    what: 'The command line, and taking over what clients have configured.',
    where: ['test/cli/', 'test/adopt/'],
    shown: [],
  },
  input: {
    what: 'Bad input: a clear error that says what to do, an entry, nothing lost or leaked, the process stays up.',
    where: ['test/lib/', 'test/config/', 'test/attack/', 'test/door/'],
    shown: [
      'an unknown key deep inside',
      'a key that is there twice',
      'a request that trickles in is cut off (slowloris)',
    ],
  },
  load: {
    what: 'Nothing grows without a bound; what is full refuses and says when to come back; nobody takes it all.',
    where: ['test/load/'],
    shown: [
      'of thousands of connections that send their headers slowly serves whoever comes and asks',
      'is cut at the limit, and the agent is told what that means',
      'is given up after its time (${server}); others are served, and its places come back',
      'of one agent are bounded: beyond that it is told 429 and when to come back, and the others are served',
      'each have a bound that is written down in test/load/collections.ts',
      'lets the log, its calls and what waits be read',
    ],
  },
}

const root = resolve(import.meta.dirname, '..')
const filesIn = (folder: string): readonly string[] =>
  readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .sort()

/** Names of tests as they are written; what a table fills in stays `${…}`, its rows count by their `title`. */
const called = /\b(?:it|test|describe)\(\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|`((?:[^`\\]|\\.)*)`)/g
const titled = /\b(?:title|step|port): '((?:[^'\\]|\\.)*)'/g

type Named = { readonly file: string; readonly name: string }
const named: readonly Named[] = [...filesIn('test'), ...filesIn('src/testing')].flatMap((file) => {
  const text = readFileSync(join(root, file), 'utf8')
  return [...text.matchAll(called), ...text.matchAll(titled)].map(([, one, two, three]) => ({
    file,
    name: (one ?? two ?? three ?? '').replaceAll("\\'", "'"),
  }))
})
const belongs = (file: string, { where }: Requirement): boolean =>
  where.some((place) => file.startsWith(place))

describe('the manifest of requirements', () => {
  it('each requirement is shown by tests of these names, in its own places', () => {
    for (const [id, requirement] of Object.entries(requirements)) {
      const own = named.filter(({ file }) => belongs(file, requirement))
      assert.ok(own.length > 0, `${id} has no tests`)
      for (const words of requirement.shown) {
        const elsewhere = named.filter(({ name }) => name.includes(words)).map(({ file }) => file)
        assert.ok(elsewhere.length > 0, `${id}: no test says \`${words}\``)
      }
    }
  })

  it('each test file belongs to a requirement', () => {
    const stray = filesIn('test')
      .filter((file) => file.endsWith('.test.ts'))
      .filter((file) => !Object.values(requirements).some((requirement) => belongs(file, requirement)))
    assert.deepEqual(stray, [])
  })

  it('each test that names an invariant is in a place where that invariant is shown', () => {
    const tagged = /\bI[1-9][0-9]*\b/g
    for (const { file, name } of named)
      for (const [id] of name.matchAll(tagged)) {
        const requirement = requirements[id]
        assert.ok(requirement !== undefined, `${file}: \`${name}\` names ${id}, which is no invariant`)
        assert.ok(belongs(file, requirement), `${file}: \`${name}\` shows ${id} and is not among its places`)
      }
  })

  it('the invariants are those of ARCHITECTURE.md, in its words, and the tests that it points at exist', () => {
    const rows = [
      ...readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8').matchAll(
        /^\| (I\d) \| (.*?) \| .* \| (.*?) \|$/gm,
      ),
    ]
    const ids = Object.keys(requirements).filter((id) => /^I\d$/.test(id))
    assert.deepEqual(
      rows.map(([, id]) => id),
      ids,
    )
    for (const [, id = '', words = '', tests = ''] of rows) {
      const start = (requirements[id]?.what ?? '').slice(0, 25).replaceAll('’', "'").split(/[;,.]/)[0] ?? ''
      assert.ok(words.startsWith(start), `${id}: \`${words}\` does not begin with \`${start}\``)
      for (const [, path = ''] of tests.matchAll(/`([^`]+)`/g))
        assert.ok(existsSync(join(root, path)), `${id}: ${path} does not exist`)
    }
  })
})

import { readFileSync } from 'node:fs'
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, describe, test } from 'node:test'
import type { ServerAnswer } from '../../src/server/answer.ts'
import { createWorld, liar, noLease, problemOf, textOf, until, type Options, type World } from './world.ts'
import type { JsonObject } from '../../src/lib/json.ts'

const worlds: World[] = []
after(() => Promise.all(worlds.map(({ servers }) => servers.close())))

const worldOf = (how: string, extra: JsonObject = {}, options: Options = {}): World => {
  const world = createWorld({ liar: liar(how, extra) }, options)
  worlds.push(world)
  return world
}
const act = { server: 'liar', tool: 'act' } as const

/** A zombie that waits for whoever adopted it is gone. */
const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return process.platform !== 'linux' || !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}
const gone = async (pid: number): Promise<void> => {
  for (let i = 0; i < 100 && alive(pid); i++) await sleep(20)
  assert.equal(alive(pid), false, `process ${pid} is still there`)
}

describe('what is sent', () => {
  test('nothing of an agent’s own `_meta` reaches the server, and ids are ours', async () => {
    const answer = await worldOf('honest').call({ ...act, arguments: { a: 1, _meta: { x: 1 } } })
    const { _meta, ...params }: { _meta?: object } = JSON.parse(textOf(answer))
    // Inside the arguments `_meta` is an argument like any other; the request's own is made by the broker.
    assert.deepEqual(params, { name: 'act', arguments: { a: 1, _meta: { x: 1 } } })
    assert.deepEqual(Object.keys(_meta ?? {}), ['progressToken'])
  })

  test('a process gets PATH, what is configured and what was lent, and nothing of the broker’s environment', async () => {
    const world = worldOf(
      'env',
      { env: { MODE: 'test', TOKEN: 'secret:liar' } },
      {
        hostEnvironment: () => ({
          PATH: process.env.PATH,
          AWS_SECRET_ACCESS_KEY: 'the-operators',
          HOME: '/root',
        }),
      },
    )
    const lease = {
      ...noLease,
      environment: { TOKEN: { reveal: () => 'lent', toJSON: () => '[secret]', toString: () => '[secret]' } },
    }
    const environment: object = JSON.parse(textOf(await world.call({ ...act, lease })))
    assert.deepEqual({ ...environment, PATH: '' }, { PATH: '', MODE: 'test', TOKEN: 'lent' })
  })

  test('a secret that was not lent means that nothing starts', async () => {
    const world = worldOf('env', { env: { TOKEN: 'secret:liar' } })
    const answer = await world.call({ ...act, definition: { kind: 'tool', name: 'act' } })
    assert.equal(problemOf(answer), 'not-sent bad-configuration')
    assert.deepEqual(world.servers.diagnose().connections, [])
  })
})

describe('a lying server', () => {
  const lies: readonly (readonly [how: string, outcome: string])[] = [
    ['old-jsonrpc', 'unknown bad-answer'],
    ['both-members', 'unknown bad-answer'],
    ['duplicate-keys', 'unknown bad-answer'],
    ['broken-json', 'unknown bad-answer'],
    ['binary', 'unknown bad-answer'],
    ['result-type', 'unknown bad-answer'],
    ['not-content', 'unknown bad-answer'],
    ['giant', 'unknown too-large'],
    ['die', 'unknown died'],
    ['fork-and-die', 'unknown died'],
  ]
  for (const [how, outcome] of lies) {
    test(`that answers with ${how} gives ${outcome}`, async () => {
      const world = worldOf(how, { limits: { resultBytes: 100_000 } })
      assert.equal(problemOf(await world.call(act)), outcome)
    })
  }

  test('an answer to somebody else’s id is nobody’s answer', async () => {
    const world = worldOf('unknown-id')
    assert.equal(textOf(await world.call(act)), 'for you')
    assert.equal(world.servers.diagnose().dropped.liar?.['unknown-answer'], 2)
  })

  test('a second answer to one call changes nothing', async () => {
    const world = worldOf('duplicate')
    assert.equal(textOf(await world.call(act)), 'first')
    assert.equal(textOf(await world.call(act)), 'first')
    assert.ok((world.servers.diagnose().dropped.liar?.['late-answer'] ?? 0) >= 1)
  })

  test('a banner on stdout is skipped', async () => {
    assert.equal(textOf(await worldOf('banner').call(act)), 'after the banner')
  })

  test('a batch is no answer; the time limit ends the call', async () => {
    const answer = await worldOf('batch', { limits: { callMs: 150 } }).call(act)
    assert.equal(problemOf(answer), 'unknown timeout')
  })

  test('a line without end is not kept, and the process is ended', async () => {
    const world = worldOf('endless', { limits: { resultBytes: 10_000 } })
    assert.equal(problemOf(await world.call(act)), 'unknown too-large')
    const [connection] = world.servers.diagnose().connections
    await gone(connection?.pid ?? 0)
  })

  test('talk without end ends the process and the call', async () => {
    const world = worldOf('chatty', { limits: { resultBytes: 10_000 } })
    assert.equal(problemOf(await world.call(act)), 'unknown bad-answer')
  })

  test('text beside the numbers of progress goes nowhere', async () => {
    const heard: unknown[] = []
    await worldOf('progress-text').call({ ...act, progress: (progress) => heard.push(progress) })
    assert.deepEqual(heard, [{ progress: 1, total: 2 }])
  })

  for (const how of ['endless-pages', 'same-page']) {
    test(`a list of ${how} is no list`, async () => {
      const answer = await worldOf(how).servers.catalogue('liar')
      assert.ok('kind' in answer)
      assert.equal(answer.problem, 'unreachable')
    })
  }

  test('all pages of a list count', async () => {
    const catalogue = await worldOf('two-pages').servers.catalogue('liar')
    assert.ok(!('kind' in catalogue))
    assert.deepEqual(
      catalogue.tools.map(({ name }) => name),
      ['zero', 'act'],
    )
    assert.equal(catalogue.instructions, 'Trust me.')
  })
})

describe('time and cancelling', () => {
  test('an answer after the cancel is not delivered, and the server is told', async () => {
    const world = worldOf('late-answer')
    const gate = new AbortController()
    assert.equal(textOf(await world.call(act)), 'too late')
    const under = world.call({ ...act, signal: gate.signal })
    const told = () => world.servers.diagnose().connections[0]?.stderr.match(/answers late/g) ?? []
    await until(() => told().length === 2)
    gate.abort()
    assert.equal(problemOf(await under), 'unknown cancelled')
    await until(() => world.servers.diagnose().dropped.liar?.['late-answer'] === 1)
    const [connection] = world.servers.diagnose().connections
    assert.match(connection?.stderr ?? '', /heard .*notifications\/cancelled/)
  })

  test('a call that was cancelled before it began is certain not to have been sent', async () => {
    const world = worldOf('pid')
    await world.servers.catalogue('liar')
    assert.equal(problemOf(await world.call({ ...act, signal: AbortSignal.abort() })), 'not-sent cancelled')
    assert.match(textOf(await world.call(act)), /"calls":1}/)
  })

  test('no more calls than the limit are under way; the rest waits shortly and is told that nothing was sent', async () => {
    const world = worldOf('hang', { limits: { concurrency: 2, callMs: 400 } }, { limits: { queueMs: 50 } })
    await world.servers.catalogue('liar')
    const answers = await Promise.all([1, 2, 3, 4].map(() => world.call(act)))
    assert.deepEqual(answers.map(problemOf).sort(), [
      'not-sent busy',
      'not-sent busy',
      'unknown timeout',
      'unknown timeout',
    ])
  })
})

describe('eras', () => {
  test('a modern process is spoken to in the modern way at once', async () => {
    const world = worldOf('modern-pid')
    const catalogue = await world.servers.catalogue('liar')
    assert.ok(!('kind' in catalogue))
    assert.equal(catalogue.era, 'modern')
    assert.match(textOf(await world.call(act)), /"calls":1/)
  })

  test('a process that ends at an unknown question gets a new life and the old handshake', async () => {
    const catalogue = await worldOf('dies-when-asked').servers.catalogue('liar')
    assert.ok(!('kind' in catalogue))
    assert.equal(catalogue.protocolVersion, '2025-11-25')
  })

  test('a process that is deaf to unknown questions is asked the old way as well', async () => {
    const catalogue = await worldOf('deaf', {}, { limits: { silenceMs: 300 } }).servers.catalogue('liar')
    assert.ok(!('kind' in catalogue), JSON.stringify(catalogue))
    assert.equal(catalogue.era, 'legacy')
  })

  test('a revision that nobody knows is refused', async () => {
    const answer = await worldOf('unknown-version').servers.catalogue('liar')
    assert.ok('kind' in answer)
    assert.equal(answer.problem, 'bad-configuration')
  })

  test('a program that does not exist is told as such', async () => {
    const world = createWorld({ none: { ...liar('honest'), command: '/nonexistent/program' } })
    worlds.push(world)
    const answer = await world.servers.catalogue('none')
    assert.ok('kind' in answer)
    assert.equal(answer.problem, 'unreachable')
    assert.match(world.servers.diagnose().ended.none?.how ?? '', /ENOENT/)
  })
})

describe('one process per task', () => {
  const pidOf = (answer: ServerAnswer): number => JSON.parse(textOf(answer)).pid

  test('two tasks never meet in one process, and one task keeps its own', async () => {
    const world = worldOf('pid', {}, { limits: { spares: true } })
    const pids: number[] = []
    for (const task of ['t_a', 't_b', 't_a', 't_c', 't_b'])
      pids.push(pidOf(await world.call({ ...act, task })))
    const [a, b, a2, c, b2] = pids
    assert.equal(a, a2)
    assert.equal(b, b2)
    assert.equal(new Set([a, b, c]).size, 3)
  })

  test('calls of one task at once share one process, also when its process has just died', async () => {
    const world = worldOf('pid')
    const pids = async () => {
      const answers = await Promise.all([1, 2, 3, 4].map(() => world.call(act)))
      return new Set(answers.map(pidOf))
    }
    await world.servers.catalogue('liar')
    const [first, ...rest] = await pids()
    assert.deepEqual(rest, [])
    process.kill(first ?? 0, 'SIGKILL')
    await until(() => world.servers.diagnose().connections.every(({ alive: living }) => !living))
    const [second, ...others] = await pids()
    assert.deepEqual(others, [])
    assert.notEqual(second, first)
    assert.equal(world.servers.diagnose().connections.length, 1)
  })

  test('the spare process becomes the next task’s own', async () => {
    const world = worldOf('pid', {}, { limits: { spares: true } })
    await world.call({ ...act, task: 't_a' })
    const idle = () => world.servers.diagnose().connections.find(({ task }) => task === null)
    await until(() => idle() !== undefined)
    const spare = idle()
    assert.equal(pidOf(await world.call({ ...act, task: 't_b' })), spare?.pid)
  })

  test('a server with secrets has no spare', async () => {
    const world = worldOf('pid', { env: { TOKEN: 'secret:liar' } }, { limits: { spares: true } })
    const lease = {
      ...noLease,
      environment: { TOKEN: { reveal: () => 'lent', toJSON: () => '[secret]', toString: () => '[secret]' } },
    }
    await world.call({ ...act, lease })
    await sleep(100)
    assert.deepEqual(
      world.servers.diagnose().connections.map(({ task }) => task),
      ['t_one'],
    )
  })

  test('another secret of the same task takes another process', async () => {
    const world = worldOf('pid', { env: { TOKEN: 'secret:liar' } })
    const lease = (value: string) => ({
      ...noLease,
      environment: { TOKEN: { reveal: () => value, toJSON: () => '[secret]', toString: () => '[secret]' } },
    })
    const first = pidOf(await world.call({ ...act, lease: lease('one') }))
    assert.notEqual(pidOf(await world.call({ ...act, lease: lease('two') })), first)
    await gone(first)
  })

  test('the end of a task ends its process, its children and its calls; nothing starts again for it', async () => {
    const world = worldOf('fork')
    const child = Number(textOf(await world.call({ ...act, task: 't_a' })))
    const connection = world.servers.diagnose().connections.find(({ task }) => task === 't_a')
    assert.ok(alive(child))
    await world.servers.endTask('t_a')
    await gone(child)
    await gone(connection?.pid ?? 0)
    assert.equal(problemOf(await world.call({ ...act, task: 't_a' })), 'not-sent cancelled')
  })

  test('a call under way when its task ends is told at once', async () => {
    const world = worldOf('hang')
    await world.servers.catalogue('liar')
    const calling = world.call(act)
    await until(() => JSON.stringify(world.servers.diagnose().connections).includes('called'))
    await world.servers.endTask('t_one')
    assert.equal(problemOf(await calling), 'unknown cancelled')
  })

  test('a process that ignores the polite signal is ended all the same', async () => {
    const world = worldOf('stubborn', {}, { limits: { graceMs: 100 } })
    await world.call({ ...act, task: 't_a' })
    const connection = world.servers.diagnose().connections.find(({ task }) => task === 't_a')
    await world.servers.endTask('t_a')
    await gone(connection?.pid ?? 0)
  })

  test('children of a process that died go with it', async () => {
    const world = worldOf('fork-and-die')
    await world.call(act)
    const child = Number(/child (\d+)/.exec(world.servers.diagnose().ended.liar?.stderr ?? '')?.[1])
    await gone(child)
  })

  test('last words count; after a death the next call gets a new process', async () => {
    const world = worldOf('answer-and-die')
    assert.equal(textOf(await world.call(act)), 'my last words')
    await until(() => world.servers.diagnose().ended.liar !== undefined)
    assert.equal(textOf(await world.call(act)), 'my last words')
  })

  test('an idle process is ended', async () => {
    const world = worldOf('pid', {}, { limits: { idleMs: 60 } })
    await gone(pidOf(await world.call(act)))
  })

  test('no more processes than the limit', async () => {
    const world = worldOf('pid', {}, { limits: { connections: 2 } })
    await world.call({ ...act, task: 't_a' })
    await world.call({ ...act, task: 't_b' })
    assert.equal(problemOf(await world.call({ ...act, task: 't_c' })), 'not-sent busy')
  })
})

describe('definitions', () => {
  test('a registry that cannot record a change stops the call, and hears of it again at the next', async () => {
    const configs = { liar: liar('pid') }
    let tries = 0
    const world = createWorld(configs, {
      onCatalogue() {
        if (++tries === 1) throw new Error('the disk is full')
      },
    })
    worlds.push(world)
    const definition = {
      kind: 'tool',
      name: 'act',
      description: 'Does something.',
      inputSchema: { type: 'object' },
    } as const
    assert.equal(problemOf(await world.call({ ...act, definition })), 'not-sent unreachable')
    assert.match(textOf(await world.call({ ...act, definition })), /"calls":1/)
    assert.equal(tries, 2)
  })

  test('a server that announces another definition is not called with the old one, and the registry hears of it', async () => {
    const world = worldOf('change')
    assert.equal(textOf(await world.call(act)), 'changed')
    await until(() => world.seen.at(-1)?.tools[0]?.description === 'Does something else.')
    assert.equal(problemOf(await world.call(act)), 'not-sent definition-changed')
  })

  test('a server that changes without a word is found out when its list has grown old', async () => {
    const world = worldOf(
      'change-silently',
      {},
      { limits: { freshness: { leastMs: 0, unsaidMs: 0, mostMs: 0 } } },
    )
    assert.equal(textOf(await world.call(act)), 'changed')
    assert.equal(problemOf(await world.call(act)), 'not-sent definition-changed')
  })

  test('a definition that the server does not list is not called', async () => {
    const answer = await worldOf('honest').call({ ...act, definition: { kind: 'tool', name: 'other' } })
    assert.equal(problemOf(answer), 'not-sent definition-changed')
  })
})

describe('questions of a legacy server', () => {
  test('sampling, roots and links are refused, a ping is answered', async () => {
    const answers: unknown[] = JSON.parse(textOf(await worldOf('asks-more').call(act)))
    assert.deepEqual(
      answers.map((answer) =>
        typeof answer === 'object' && answer !== null && 'code' in answer ? answer.code : answer,
      ),
      [-32601, -32601, {}, -32601],
    )
  })

  test('a question suspends the call; the answer goes to the very call that asked', async () => {
    const world = worldOf('elicit')
    const first = await world.call({ ...act, arguments: { x: 1 } })
    assert.ok(first.kind === 'input', JSON.stringify(first))
    assert.deepEqual(Object.keys(first.inputRequests), ['elicitation-1'])
    const leg = {
      requestState: first.requestState,
      inputResponses: {
        'elicitation-1': { action: 'accept', content: { colour: 'blue' }, _meta: { from: 'agent' } },
      },
    }
    const wrong = { ...act, leg, arguments: { x: 2 } }
    assert.equal(problemOf(await world.call(wrong)), 'not-sent cancelled')
    assert.equal(
      problemOf(await world.call({ ...act, leg, task: 't_other', arguments: { x: 1 } })),
      'not-sent cancelled',
    )
    const second = await world.call({ ...act, leg, arguments: { x: 1 } })
    assert.deepEqual(JSON.parse(textOf(second)), { action: 'accept', content: { colour: 'blue' } })
    assert.equal(problemOf(await world.call({ ...act, leg, arguments: { x: 1 } })), 'not-sent cancelled')
  })

  test('a second question takes a third leg; an answer left out is a cancel', async () => {
    const world = worldOf('elicit-twice')
    const first = await world.call(act)
    assert.ok(first.kind === 'input')
    const answers = { 'elicitation-1': { action: 'decline' } }
    const second = await world.call({
      ...act,
      leg: { requestState: first.requestState, inputResponses: answers },
    })
    assert.ok(second.kind === 'input')
    assert.notEqual(second.requestState, first.requestState)
    const third = await world.call({ ...act, leg: { requestState: second.requestState, inputResponses: {} } })
    assert.deepEqual(JSON.parse(textOf(third)), [{ action: 'decline' }, { action: 'cancel' }])
  })

  test('a question that nobody answers expires, and so does its handle', async () => {
    const world = worldOf('elicit', {}, { limits: { parkedMs: 50 } })
    const first = await world.call(act)
    assert.ok(first.kind === 'input')
    await sleep(100)
    const leg = { requestState: first.requestState, inputResponses: {} }
    assert.equal(problemOf(await world.call({ ...act, leg })), 'not-sent cancelled')
  })

  test('where no call may stand still, the question is cancelled and the call goes on', async () => {
    const world = worldOf('elicit', {}, { limits: { parked: 0 } })
    assert.deepEqual(JSON.parse(textOf(await world.call(act))), { action: 'cancel' })
  })

  test('a question that may belong to either of two calls is put to nobody', async () => {
    const world = worldOf('elicit')
    const first = await world.call(act)
    assert.equal(first.kind, 'input')
    const refused: { code?: number } = JSON.parse(textOf(await world.call(act)))
    assert.equal(refused.code, -32603)
  })

  test('a process with a call that stands still is not idle', async () => {
    const world = worldOf('elicit', {}, { limits: { idleMs: 60 } })
    const first = await world.call(act)
    assert.ok(first.kind === 'input')
    await sleep(200)
    const leg = { requestState: first.requestState, inputResponses: {} }
    assert.deepEqual(JSON.parse(textOf(await world.call({ ...act, leg }))), { action: 'cancel' })
  })
})

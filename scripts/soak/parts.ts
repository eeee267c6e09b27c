import { connect, type Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { startScene, startUpstream, type Scene, type Told } from './scene.ts'
import type { Memory } from './broker.ts'

/** What is played, one after the other; each on a broker of its own. Numbers are bytes, counts and milliseconds. */
export type Say = (text: string) => void
export type Sizes = {
  readonly calls: number
  readonly connections: number
  readonly tasks: number
  readonly tools: number
  readonly seconds: number
}

const mib = (bytes: number): number => Math.round((bytes / 1024 / 1024) * 10) / 10

type Sample = { readonly calls: number; readonly heap: number; readonly rss: number }

/** Many calls, with tasks that open and end, strangers and refusals among them; memory after each twentieth. */
export async function calls({ calls: wanted, seconds }: Sizes, say: Say) {
  const agents = Array.from({ length: 24 }, (_, n) => `agent-${n}`)
  const upstream = await startUpstream()
  const scene = await startScene({ url: upstream.url, agents })
  const samples: Sample[] = []
  const counts = { ok: 0, refused: 0, strangers: 0, broken: 0, tasks: 0 }
  const end = performance.now() + seconds * 1000
  try {
    const step = Math.max(200, Math.ceil(wanted / 20))
    const sample = async (calls: number): Promise<void> => {
      const { heap, external, rss } = await scene.memory()
      samples.push({ calls, heap: heap + external, rss })
      say(`${calls} calls, ${counts.tasks} tasks: ${mib(heap + external)} MiB held, ${mib(rss)} MiB resident`)
    }
    // What is filled once (code, caches) is no growth.
    await burst(scene, { agents, count: Math.min(2_000, step), counts })
    await sample(0)
    let done = 0
    while (done < wanted && performance.now() < end) {
      const count = Math.min(step, wanted - done)
      await burst(scene, { agents, count, counts })
      done += count
      await sample(done)
    }
    const log = await scene.ask<{ readonly size: number; readonly faults: number }>({ kind: 'log' })
    return { made: done, ...counts, entries: log.size, faults: log.faults, ...slopeOf(samples), samples }
  } finally {
    await scene.close()
    await upstream.close()
  }
}

type Counts = { ok: number; refused: number; strangers: number; broken: number; tasks: number }
type Burst = { readonly agents: readonly string[]; readonly count: number; readonly counts: Counts }

/** Each agent makes its share, a hundred calls a task. */
async function burst(scene: Scene, { agents, count, counts }: Burst): Promise<void> {
  const each = Math.ceil(count / agents.length)
  await Promise.all(
    agents.map(async (agent) => {
      for (let made = 0; made < each;) {
        const access = await scene.access(agent)
        const { token } = await access.get()
        counts.tasks += 1
        for (let n = 0; n < 100 && made < each; n += 2, made += 2)
          await Promise.all([made, made + 1].map((at) => one(scene, token, { at, counts })))
        await access.close()
      }
    }),
  )
}

async function one(
  scene: Scene,
  token: string,
  { at, counts }: { readonly at: number; readonly counts: Counts },
): Promise<void> {
  const kind = at % 50 === 49 ? 'stranger' : at % 25 === 24 ? 'unknown' : 'read'
  const told = await scene.call({
    token: kind === 'stranger' ? `stranger.${at}` : token,
    name: kind === 'unknown' ? `notes__no_${at}` : 'notes__get_note',
    arguments: { id: `note ${at}`, bytes: at % 10 === 0 ? 20_000 : 200 },
  })
  count(told, counts)
}

function count({ status, text }: Told, counts: Counts): void {
  if (status === 401) counts.strangers += 1
  else if (status !== 200) counts.broken += 1
  else if (text.includes('"error"') || text.includes('"isError":true')) counts.refused += 1
  else counts.ok += 1
}

/** Least squares over the second half: the first fills what is kept on purpose. */
function slopeOf(samples: readonly Sample[]) {
  const half = samples.slice(Math.floor(samples.length / 2))
  const slope = (of: (one: Sample) => number): number => {
    const n = half.length
    const mean = (values: readonly number[]): number => values.reduce((sum, one) => sum + one, 0) / n
    const [x, y] = [mean(half.map(({ calls: at }) => at)), mean(half.map(of))]
    const over = half.reduce((sum, one) => sum + (one.calls - x) * (of(one) - y), 0)
    const under = half.reduce((sum, one) => sum + (one.calls - x) ** 2, 0)
    return under === 0 ? 0 : Math.round((over / under) * 100) / 100
  }
  return {
    heap_bytes_per_call: slope(({ heap }) => heap),
    rss_bytes_per_call: slope(({ rss }) => rss),
    heap_mib: mib(samples.at(-1)?.heap ?? 0),
    rss_mib: mib(samples.at(-1)?.rss ?? 0),
  }
}

/** Thousands that connect and send their headers a byte a second; then bodies that stop half way; honest calls meanwhile. */
export async function connections({ connections: wanted, seconds }: Sizes, say: Say) {
  const upstream = await startUpstream()
  const scene = await startScene({ url: upstream.url, agents: ['agent'] })
  const sockets: Socket[] = []
  let dripping: NodeJS.Timeout | undefined
  try {
    const before = await scene.memory()
    while (sockets.length < wanted) {
      const some = Math.min(250, wanted - sockets.length)
      sockets.push(...(await Promise.all(Array.from({ length: some }, () => slow(scene.port)))))
    }
    dripping = setInterval(() => {
      for (const socket of sockets) if (socket.writable) socket.write('x')
    }, 1_000)
    const open = () => sockets.filter(({ destroyed }) => !destroyed).length
    const most = open()
    const during = await scene.memory()
    say(`${wanted} connected, ${most} kept: ${mib(during.rss - before.rss)} MiB more`)
    const { token } = await (await scene.access('agent')).get()
    const honest = await honestly(scene, token, Math.min(5, seconds))
    return {
      connected: wanted,
      kept: most,
      kept_after: open(),
      bytes_each: Math.round((during.rss - before.rss) / Math.max(1, most)),
      ...honest,
    }
  } finally {
    clearInterval(dripping)
    for (const socket of sockets) socket.destroy()
    await scene.close()
    await upstream.close()
  }
}

function slow(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1' })
  socket.on('error', () => undefined)
  socket.resume()
  return new Promise((resolve) => {
    socket.once('connect', () => {
      socket.write('POST /mcp HTTP/1.1\r\nHost: localhost\r\nX-Slow: ')
      resolve(socket)
    })
    socket.once('close', () => resolve(socket))
  })
}

/** Calls one after the other for so long. */
async function honestly(scene: Scene, token: string, seconds: number) {
  const times: number[] = []
  let failed = 0
  for (const end = performance.now() + seconds * 1000; performance.now() < end;) {
    const { status, ms } = await scene.call({ token, name: 'notes__get_note', arguments: { id: 'a' } })
    if (status === 200) times.push(ms)
    else failed += 1
  }
  times.sort((a, b) => a - b)
  const at = (share: number): number => Math.round((times[Math.floor(times.length * share)] ?? 0) * 10) / 10
  return { served: times.length, failed, p50_ms: at(0.5), p99_ms: at(0.99) }
}

/** Answers that nobody reads: what the broker holds of them. */
export async function unread(_: Sizes, say: Say) {
  const upstream = await startUpstream()
  const scene = await startScene({ url: upstream.url, agents: ['agent', 'other'] })
  const sockets: Socket[] = []
  try {
    const before = await scene.memory()
    const { token } = await (await scene.access('agent')).get()
    const large = 4 * 1024 * 1024
    for (let n = 0; n < 60; n++) sockets.push(deaf(scene.port, token, { id: `${n}`, bytes: large }))
    // What is held: what the process keeps of memory that nobody uses any more is the allocator's business, and said.
    const held = ({ heap, external }: Memory): number => heap + external - before.heap - before.external
    const samples: Memory[] = []
    for (let n = 0; n < 20; n++) {
      await wait(250)
      samples.push(await scene.memory())
    }
    const access = await scene.access('other')
    const honest = await honestly(scene, (await access.get()).token, 2)
    const most = mib(Math.max(...samples.map(held)))
    const left = mib(held(samples.at(-1) ?? before))
    const rss = mib(Math.max(...samples.map((one) => one.rss)) - before.rss)
    say(
      `60 answers of 4 MiB that nobody reads: ${most} MiB more at most, ${left} MiB after, ${rss} MiB resident`,
    )
    return { asked_mib: 240, most_mib: most, left_mib: left, most_rss_mib: rss, ...honest }
  } finally {
    for (const socket of sockets) socket.destroy()
    await scene.close()
    await upstream.close()
  }
}

function deaf(port: number, token: string, args: object): Socket {
  const body = JSON.stringify({
    jsonrpc: '2.0',
    id: 1,
    method: 'tools/call',
    params: {
      name: 'notes__get_note',
      arguments: args,
      _meta: {
        'io.modelcontextprotocol/protocolVersion': '2026-07-28',
        'io.modelcontextprotocol/clientCapabilities': {},
        'io.modelcontextprotocol/clientInfo': { name: 'soak', version: '1' },
      },
    },
  })
  const socket = connect({ port, host: '127.0.0.1' })
  socket.pause()
  socket.on('error', () => undefined)
  socket.write(
    `POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: notes__get_note\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
  return socket
}

/** Ten thousand open tasks: what they hold, what a sweep and a list cost. */
export async function tasks({ tasks: wanted }: Sizes, say: Say) {
  const crowd = Math.ceil(wanted / 64)
  const upstream = await startUpstream()
  const agents = ['agent', ...Array.from({ length: crowd }, (_, n) => `crowd-${n}`)]
  const scene = await startScene({ url: upstream.url, agents })
  try {
    const before = await scene.memory()
    const opened = await scene.ask<{ readonly opened: number; readonly ms: number }>({ kind: 'tasks', agents: crowd, each: Math.min(64, wanted) }) // prettier-ignore
    const after = await scene.memory()
    const sweep = await scene.ask<{ readonly ms: number; readonly listed: number }>({ kind: 'sweep' })
    await scene.ask({ kind: 'stall' })
    const { token } = await (await scene.access('agent')).get()
    const honest = await honestly(scene, token, 3)
    const stall = await scene.ask<{ readonly ms: number }>({ kind: 'stall' })
    const each = (after.heap + after.external - before.heap - before.external) / Math.max(1, opened.opened)
    say(`${opened.opened} open tasks: ${Math.round(each)} bytes each in memory`)
    return {
      opened: opened.opened,
      open_ms: Math.round(opened.ms),
      bytes_each: Math.round(each),
      sweep_and_list_ms: Math.round(sweep.ms),
      longest_stall_ms: Math.round(stall.ms),
      ...honest,
    }
  } finally {
    await scene.close()
    await upstream.close()
  }
}

/** Ten thousand tools are listed, then all of them change: calls of another server meanwhile. */
export async function tools({ tools: wanted }: Sizes, say: Say) {
  const [upstream, big] = [await startUpstream(), await startUpstream(wanted)]
  const scene = await startScene({ url: upstream.url, agents: ['agent'] })
  try {
    const { token } = await (await scene.access('agent')).get()
    const before = await scene.memory()
    await scene.ask({ kind: 'stall' })
    const during = async (
      name: string,
      work: () => Promise<{ readonly ms: number; readonly problem: unknown }>,
    ) => {
      const over = new AbortController()
      const times: number[] = []
      const calling = async (): Promise<void> => {
        while (!over.signal.aborted)
          times.push((await scene.call({ token, name: 'notes__get_note', arguments: { id: 'a' } })).ms)
      }
      const loop = calling()
      const { ms, problem } = await work()
      over.abort()
      await loop
      const stall = await scene.ask<{ readonly ms: number }>({ kind: 'stall' })
      const longest = Math.round(Math.max(...times))
      say(`${name}: ${Math.round(ms)} ms, ${times.length} other calls meanwhile, the longest ${longest} ms`)
      return {
        ms: Math.round(ms),
        calls: times.length,
        longest_ms: longest,
        stall_ms: Math.round(stall.ms),
        problem,
      }
    }
    const listed = await during('listed', () => scene.ask({ kind: 'server', name: 'big', url: big.url }))
    const held = await scene.memory()
    const change = () => fetch(new URL('/change', big.url), { method: 'POST' })
    await change()
    const changed = await during('all changed', () => scene.ask({ kind: 'refresh', name: 'big' }))
    await change()
    const again = await during('all changed again', () => scene.ask({ kind: 'refresh', name: 'big' }))
    const log = await scene.ask<{ readonly size: number }>({ kind: 'log' })
    return {
      tools: wanted,
      mib: mib(held.heap + held.external - before.heap - before.external),
      listed,
      changed,
      again,
      entries: log.size,
    }
  } finally {
    await scene.close()
    await Promise.all([upstream.close(), big.close()])
  }
}

/** A server that never answers: its calls are given up, those of another agent and their places come back. */
export async function silence(_: Sizes, say: Say) {
  const upstream = await startUpstream()
  const scene = await startScene({ url: upstream.url, agents: ['agent', 'other'] })
  try {
    const [mine, others] = [await scene.access('agent'), await scene.access('other')]
    const [{ token }, { token: other }] = [await mine.get(), await others.get()]
    const ask = (n: number) => scene.call({ token, name: 'notes__get_never', arguments: { id: `${n}` } })
    const waiting = Array.from({ length: 200 }, (_, n) => ask(n))
    const honest = await honestly(scene, other, 3)
    const told = await Promise.all(waiting)
    const of = (status: number): number => told.filter((one) => one.status === status).length
    const after = await honestly(scene, token, 1)
    say(`200 calls that nobody answers: ${of(200)} given up, ${of(429)} turned away`)
    return { given_up: of(200), turned_away: of(429), others: honest, afterwards: after }
  } finally {
    await scene.close()
    await upstream.close()
  }
}

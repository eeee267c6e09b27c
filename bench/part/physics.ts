import { closeSync, fdatasyncSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import {
  createHash,
  createHmac,
  createSecretKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  verify,
} from 'node:crypto'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import { Worker } from 'node:worker_threads'
import { preparsePolicySet, statefulIsAuthorized } from '@cedar-policy/cedar-wasm/nodejs'
import { z } from 'zod'
import { call, openWire, type Answer } from '../wire.ts'
import { each, eachAwaited, percentile, short } from '../stats.ts'
import type { Part } from '../part.ts'

/** What anything costs here that a broker cannot do without: the floor under the floor. In microseconds. */
export const physics: Part = async ({ world, quick }) => {
  const steps = quick ? 2_000 : 20_000
  const [as] = await world.callers(1)
  if (as === undefined) throw new Error('expected a caller')
  const port = await world.upstream.ask('port', z.number())
  const wire = await openWire(port)
  const once = (id: number): Promise<Answer> =>
    new Promise((resolve) => wire.send(call({ ...as, path: '/mcp' }, id), resolve))
  const upstream = await eachAwaited(steps / 4, once)
  wire.close()
  return {
    ...processor(steps),
    ...disk(quick ? 50 : 300),
    phys_thread_hop_us: short(await threadHop(steps / 4)),
    phys_http_round_trip_us: short(upstream),
  }
}

function processor(steps: number) {
  const zero = openSync('/dev/zero', 'r')
  const one = Buffer.alloc(1)
  const bytes = randomBytes(512)
  const key = createSecretKey(randomBytes(32))
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const signature = sign('sha256', bytes, privateKey)
  const job = {
    id: 1,
    name: 'calls.intend',
    input: { call: 'c', entry: randomBytes(900), payload: randomBytes(300) },
  }
  preparsePolicySet('bench', { staticPolicies: 'permit (principal, action, resource);' })
  const request = {
    principal: { type: 'Agent', id: '_' },
    action: { type: 'Action', id: '_' },
    resource: { type: 'Tool', id: '_' },
    entities: [],
    context: {},
    preparsedPolicySetId: 'bench',
  }
  const figures = {
    phys_syscall_us: short(each(steps, () => readSync(zero, one, 0, 1, null))),
    phys_random_32_us: short(each(steps, () => randomBytes(32))),
    phys_sha256_512_us: short(each(steps, () => createHash('sha256').update(bytes).digest())),
    phys_hmac_512_us: short(each(steps, () => createHmac('sha256', key).update(bytes).digest())),
    phys_es256_verify_us: short(each(steps / 20, () => verify('sha256', bytes, publicKey, signature))),
    phys_clone_job_us: short(each(steps, () => structuredClone(job))),
    phys_wasm_decision_us: short(each(steps, () => statefulIsAuthorized(request))),
    phys_abort_any_us: short(
      each(steps, () => AbortSignal.any([new AbortController().signal, new AbortController().signal])),
    ),
  }
  closeSync(zero)
  return figures
}

/** What makes a change durable: 4 KiB and fdatasync, at the end of a file and over what is there already. */
function disk(rounds: number) {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-bench-'))
  const file = openSync(join(folder, 'synced'), 'w')
  const page = Buffer.alloc(4096, 1)
  const times = (at: (index: number) => number): readonly number[] =>
    Array.from({ length: rounds }, (_, index) => {
      const from = performance.now()
      writeSync(file, page, 0, page.length, at(index))
      fdatasyncSync(file)
      return (performance.now() - from) * 1000
    })
  const appended = times((index) => index * 4096)
  const over = times((index) => (index % 16) * 4096)
  closeSync(file)
  rmSync(folder, { recursive: true })
  return {
    phys_fdatasync_append_us: short(percentile(appended, 0.5)),
    phys_fdatasync_over_us: short(percentile(over, 0.5)),
    phys_fdatasync_over_p99_us: short(percentile(over, 0.99)),
  }
}

/** A message to another thread and one back. */
async function threadHop(steps: number): Promise<number> {
  const worker = new Worker(
    `const { parentPort } = require('node:worker_threads'); parentPort.on('message', (m) => parentPort.postMessage(m))`,
    { eval: true },
  )
  const hop = (index: number): Promise<unknown> =>
    new Promise((resolve) => {
      worker.once('message', resolve)
      worker.postMessage(index)
    })
  const us = await eachAwaited(steps, hop)
  await worker.terminate()
  return us
}

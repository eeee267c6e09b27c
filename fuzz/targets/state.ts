import { createSealer, openState, sealState, type RequestState } from '../../src/door/state.ts'
import { bytes, hold, text, type Target } from '../target.ts'

const key = new Uint8Array(32).fill(3)
const now = 1_800_000_000_000
const bearings = { subject: '["agent","countersign","coder","owner"]', task: 't_1', request: 'sha256:1' }
const states: readonly RequestState[] = [
  { kind: 'approval', call: 'c_1', chain: 'c_1', leg: 1, input: null },
  { kind: 'approval', call: 'c_2', chain: 'c_1', leg: 2, input: { requestState: 's', inputResponses: {}, ask: null, round: 1 } },
  { kind: 'input', chain: 'c_1', upstream: null, ask: 'a_1', asked: { a: 'elicitation/create' }, round: 1, next: 'c_3' },
] // prettier-ignore

/** States and cursors that were sealed for an agent and come back as anything at all. */
export async function open(): Promise<Target> {
  const sealer = createSealer(key)
  const sealed = states.map((state) => sealState(sealer, state, { ...bearings, expiresAt: now + 1000 }))
  const cursor = sealer.seal('cursor', { bound: 'b', after: 'files/a' })
  const stale = sealState(sealer, { ...states[0], kind: 'approval', call: 'c_1', chain: 'c_1', leg: 1, input: null }, { ...bearings, expiresAt: now }) // prettier-ignore
  return {
    atOnce: 1,
    words: ['v1.', 'v0.', '=', '-', '_', ...sealed.map((one) => one.slice(3, 40))],
    seeds: [...sealed, cursor, stale].map(bytes),
    run(input) {
      const given = text(input)
      const opened = openState(sealer, given, bearings, now)
      hold(opened.ok === sealed.includes(given), 'exactly what was sealed opens', () => given)
      hold((sealer.open('cursor', given) !== null) === (given === cursor), 'a cursor is a cursor')
      for (const other of [
        { ...bearings, subject: 'x' },
        { ...bearings, task: 't_2' },
        { ...bearings, request: 'sha256:2' },
      ])
        hold(!openState(sealer, given, other, now).ok, 'a state opens for its bearer, task and request alone')
      hold(!openState(sealer, given, bearings, now + 1000).ok, 'a state opens until its end')
      hold(
        createSealer(new Uint8Array(32)).open('request-state', given) === null,
        'another key opens nothing',
      )
    },
  }
}

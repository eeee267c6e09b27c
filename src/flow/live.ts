import { decodeFact, factsKeptMs } from './fact.ts'
import { decodeSink, SinkTable, sinksKeptMs, type Sinks } from './sinks.ts'
import { mostFacts, PastTable } from './past.ts'
import { Origins } from './origins.ts'
import { purposeWords, type PurposeWords } from './purpose.ts'
import type { FlowRow, FlowScope, FlowStore } from '../store/ports.ts'
import type { Known } from './flow.ts'
import type { Lesson } from './learn.ts'
import type { Standing } from './origins.ts'
import type { TaskSnapshot } from '../task/task.ts'

/** What a node keeps of the flow store in memory, brought as far as each snapshot says before a call is judged. */
export type LiveFlow = {
  /** Everything of it that a decision on this task may look at. Reads the store only for what is new. */
  known(bound: TaskSnapshot, now: number): Promise<Known>
  /** What tainted tasks have written until now, of every node: asked after a server has answered. */
  sinks(now: number): Promise<Sinks>
  /** Bytes held for tasks, and how many tasks; for those who watch. */
  size(): { readonly tasks: number; readonly bytes: number }
}

export type FlowParts = {
  readonly store: Pick<FlowStore, 'since' | 'tailOf'>
  /** Keys of values are made with it; the same for every node of a store. */
  readonly secret: Uint8Array
  /** Beyond this, what was used the longest ago is dropped and read again when it is needed. */
  readonly mostBytes?: number
}

type Kept<Table> = { readonly table: Table; next: number }

const mostPersons = 256
/** With objects around it, what a task's index costs besides its slots. */
const taskOverhead = 600

export function createFlow({ store, secret, mostBytes = 256 * 1024 * 1024 }: FlowParts): LiveFlow {
  const tasks = new Map<string, Kept<Origins>>()
  const persons = new Map<string, Kept<PastTable>>()
  const words = new Map<string, PurposeWords>()
  const sinks: Kept<SinkTable> = { table: new SinkTable(), next: 0 }
  let bytes = 0

  const taskOf = (id: string): Kept<Origins> => {
    const kept = tasks.get(id) ?? { table: new Origins(), next: 0 }
    // Last in the map is the one used last.
    if (tasks.delete(id)) bytes -= kept.table.bytes + taskOverhead
    tasks.set(id, kept)
    bytes += kept.table.bytes + taskOverhead
    return kept
  }
  const shrink = (): void => {
    for (const [id, { table }] of tasks) {
      if (bytes <= mostBytes) return
      tasks.delete(id)
      bytes -= table.bytes + taskOverhead
    }
  }

  async function personOf(name: string, heads: number): Promise<Kept<PastTable>> {
    const known = persons.get(name)
    if (known !== undefined) return known
    const next = heads > mostFacts ? await store.tailOf(`person:${name}`, mostFacts) : 0
    const kept = { table: new PastTable({ partial: next > 0 }), next }
    persons.set(name, kept)
    for (const [old] of persons) {
      if (persons.size <= mostPersons) break
      persons.delete(old)
    }
    return kept
  }

  async function catchUp<Table>(
    kept: Kept<Table>,
    { scope, to, notBefore }: { readonly scope: string; readonly to: number; readonly notBefore: number },
    add: (row: FlowRow) => void,
  ): Promise<void> {
    while (kept.next < to) {
      const from = kept.next
      const wanted: FlowScope = { scope, from, notBefore }
      const rows = await store.since([wanted])
      for (const row of rows) {
        // Another call of this node may have fetched the same rows meanwhile.
        if (row.seq < kept.next) continue
        add(row)
        kept.next = row.seq + 1
      }
      // Older than what counts, or forgotten: nothing of it is missed.
      if (rows.length === 0) kept.next = Math.max(kept.next, to)
    }
  }

  async function originsOf(id: string, to: number): Promise<Origins> {
    const kept = taskOf(id)
    if (kept.next >= to) return kept.table
    const before = kept.table.bytes
    await catchUp(kept, { scope: `task:${id}`, to, notBefore: 0 }, (row) => teach(kept.table, row))
    if (tasks.get(id) === kept) bytes += kept.table.bytes - before
    shrink()
    return kept.table
  }

  const wordsOf = (text: string): PurposeWords => {
    const known = words.get(text)
    if (known !== undefined) return known
    if (words.size >= 1024) words.clear()
    const made = purposeWords(text)
    words.set(text, made)
    return made
  }

  const spilled = (to: number, now: number): Promise<void> =>
    catchUp(sinks, { scope: 'sinks', to, notBefore: now - sinksKeptMs }, ({ at, body }) =>
      sinks.table.add(decodeSink(body), at),
    )

  return {
    size: () => ({ tasks: tasks.size, bytes }),
    async sinks(now) {
      await spilled(await store.tailOf('sinks', 0), now)
      return sinks.table.asOf(now)
    },
    async known(bound, now) {
      const { task, ancestors, flow } = bound
      const past = await personOf(task.owner, flow.person)
      await catchUp(
        past,
        { scope: `person:${task.owner}`, to: flow.person, notBefore: now - factsKeptMs },
        ({ at, body }) => past.table.add(decodeFact(at, body)),
      )
      await spilled(flow.sinks, now)
      const origins = [await originsOf(task.id, flow.task)]
      for (const [index, ancestor] of ancestors.entries())
        origins.push(await originsOf(ancestor.id, flow.above[index] ?? 0))
      return {
        secret,
        purposes: [task, ...ancestors]
          .filter(({ purpose }) => purpose.vouched === true && purpose.words !== '')
          .map(({ purpose }) => wordsOf(purpose.words)),
        origins,
        past: past.table,
        sinks: sinks.table.asOf(now),
        revision: flow.person,
      }
    },
  }
}

const standings: readonly Standing[] = ['directory', 'trusted', 'untrusted']
const lessonBytes = 9

/** The tool, then nine bytes for each: a key and its standing. */
export function encodeLessons(tool: string, lessons: readonly Lesson[]): string {
  const bytes = Buffer.alloc(lessons.length * lessonBytes)
  for (const [index, { key, standing }] of lessons.entries()) {
    bytes.write(key, index * lessonBytes, 'hex')
    bytes[index * lessonBytes + 8] = standings.indexOf(standing)
  }
  return `${bytes.toString('base64')} ${tool}`
}

function teach(table: Origins, { call, body }: FlowRow): void {
  const space = body.indexOf(' ')
  const place = { call, tool: body.slice(space + 1) }
  const bytes = Buffer.from(body.slice(0, space), 'base64')
  for (let at = 0; at + lessonBytes <= bytes.length; at += lessonBytes) {
    const standing = standings[bytes[at + 8] ?? 0]
    if (standing !== undefined)
      table.learn({ high: bytes.readUInt32BE(at), low: bytes.readUInt32BE(at + 4) }, standing, place)
  }
}

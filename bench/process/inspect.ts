import { Session } from 'node:inspector/promises'
import { writeFile } from 'node:fs/promises'
import { z } from 'zod'

/** Looks at the process from inside, between two moments of the bench's choosing: start-up is not in it. */
export type Inspection = {
  start(): Promise<void>
  /** Writes both profiles to the files that are named. */
  stop(files: unknown): Promise<void>
}

const filesSchema = z.object({ time: z.string(), memory: z.string() })

/** Microseconds between two looks at the stack, and bytes between two allocations that are noted. */
const everyUs = 500
const everyBytes = 8192

export function createInspection(): Inspection {
  const session = new Session()
  return {
    async start() {
      session.connect()
      await session.post('Profiler.enable')
      await session.post('Profiler.setSamplingInterval', { interval: everyUs })
      await session.post('HeapProfiler.startSampling', {
        samplingInterval: everyBytes,
        includeObjectsCollectedByMajorGC: true,
        includeObjectsCollectedByMinorGC: true,
      })
      await session.post('Profiler.start')
    },
    async stop(files) {
      const { time, memory } = filesSchema.parse(files)
      await writeFile(time, JSON.stringify((await session.post('Profiler.stop')).profile))
      await writeFile(memory, JSON.stringify((await session.post('HeapProfiler.stopSampling')).profile))
      session.disconnect()
    },
  }
}

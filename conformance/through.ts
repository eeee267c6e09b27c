import { runServerSuite, type Found, type Revision } from './suite.ts'
import { startEverything, type Eras } from './server.ts'
import { startForwarder } from './forward.ts'
import { startWorld } from './world.ts'

const server = 'everything'

/** The suite against the server itself. */
export async function runDirect(revision: Revision): Promise<Found> {
  const everything = await startEverything()
  try {
    return await runServerSuite(everything.url, revision)
  } finally {
    await everything.close()
  }
}

export type Through = { readonly revision: Revision; readonly eras: Eras }

/** The suite against the same server behind a whole broker; `eras`: what the server speaks. */
export async function runThrough({ revision, eras }: Through): Promise<Found> {
  const everything = await startEverything(eras)
  try {
    const world = await startWorld({
      servers: { [server]: { url: everything.url } },
      // Off unless switched on: the suite asks for all of them.
      config: { inputs: ['form', 'sampling', 'roots'] },
    })
    try {
      const problems = Object.entries(world.problems)
      if (problems.length > 0) throw new Error(`the server could not be listed: ${JSON.stringify(problems)}`)
      const url = new URL(`/mcp/${server}`, world.broker.urls.agents)
      const forwarder = await startForwarder({ url, token: world.token })
      const found = await runServerSuite(forwarder.url, revision).finally(() => void forwarder.close())
      if (world.faults.length > 0) throw new Error(`the broker reported faults: ${world.faults.join('; ')}`)
      return found
    } finally {
      await world.close()
    }
  } finally {
    await everything.close()
  }
}

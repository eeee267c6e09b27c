import { at, entryOf, expect, expectEntries, kindOf, list, text, type Step } from '../step.ts'
import { atTerminal, call, expectRefused, linesOf } from '../acts.ts'
import { packaged } from '../scene.ts'
import { randomBytes } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

const getEnv = { tool: 'everything__get-env', arguments: {} }
const path = `/v1/tools/${encodeURIComponent('everything/get-env')}`

/** The agent never holds a tool's credential, not even when the tool says it aloud. */
export const secretStep: Step = {
  name: 'secret',
  title: 'A secret, lent to a server that echoes it',
  async play(scene, tell) {
    const { operators, passphrase, log } = scene
    const secret = `tour-${randomBytes(18).toString('hex')}`
    await operators.send('PUT', '/v1/secrets/helper-token', { value: secret }, { passphrase })
    const config = {
      command: process.execPath,
      args: [packaged('server-everything/dist/index.js'), 'stdio'],
      env: { HELPER_TOKEN: 'secret:helper-token', LOG_LEVEL: 'info' },
    }
    await operators.send('POST', '/v1/servers', { name: 'everything', config }, { passphrase })
    const added = await log.fresh()
    const waiting = added.filter((one) => kindOf(one) === 'act:tool-quarantined').length
    tell({
      who: 'person',
      did: 'The operator puts a token into the sealed store and adds a server that runs with it. What the server offers waits for review:',
      came: [`${waiting} definitions in quarantine`],
      entries: added,
    })

    const tool = await operators.get(path)
    expect(tool['state'] === 'quarantined', 'a new tool to wait for review', tool['state'])
    const early = await call(await scene.client('helper'), getEnv)
    expectRefused(early, 'quarantined')
    const refused = await log.fresh()
    expectEntries(refused, ['act:task-opened', 'refused:quarantined'])
    tell({
      who: 'agent',
      did: '`helper`, whose task covers `get-env`, does not wait for that.',
      came: linesOf(early),
      entries: refused,
    })

    const reviewed = await atTerminal(scene, `${path}/review`, { digest: text(tool, 'digest'), accept: true })
    expect(reviewed.status === 200, 'the review to be taken', reviewed)
    tell({
      who: 'person',
      did: 'The operator accepts one of them, `get-env`.',
      came: [],
      entries: await log.fresh(),
    })

    const came = await call(await scene.client('helper'), getEnv)
    expect(!came.isError, 'the call to be made', came)
    expect(!came.text.includes(secret), 'the secret not to reach the agent')
    const shown: unknown = JSON.parse(came.text)
    expect(text(shown, 'LOG_LEVEL') === 'info', 'what is no secret to be left as it is', came.text)
    const entries = await log.fresh()
    expectEntries(entries, ['intent', 'outcome:ok'])
    const { entry } = entryOf(entries, 'outcome:ok')
    expect(list(entry, 'lease', 'secrets').includes('helper-token'), 'the secret to have been lent', entry)
    expect(Number(at(entry, 'redacted', 'helper-token')) >= 1, 'the redaction to be counted', entry)
    const found = await holding(scene.home, secret)
    expect(found.length === 0, 'the secret in no file of the broker', found)
    tell({
      who: 'agent',
      did: '`helper` calls it: the server answers with its whole environment, the token included. What the agent gets:',
      came: linesOf(came).map((line) => (line.includes('"PATH"') ? '  "PATH": …' : line)),
      entries,
    })
  },
}

/** Files below a folder that hold the text as it is: store, log and payloads are among them. */
async function holding(folder: string, secret: string): Promise<readonly string[]> {
  for (let tries = 0; tries < 50; tries += 1) {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true })
    const paths = entries.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name))
    const held = await Promise.all(paths.map((path) => holds(path, secret)))
    // The broker publishes meanwhile: a file that was renamed under our eyes is looked at under its new name.
    if (!held.includes('gone')) return paths.filter((_, index) => held[index] === 'yes')
  }
  throw new Error('the files of the broker did not stand still for one look at all of them')
}

async function holds(path: string, secret: string): Promise<'yes' | 'no' | 'gone'> {
  try {
    return (await readFile(path)).includes(secret) ? 'yes' : 'no'
  } catch (problem) {
    if (problem instanceof Error && 'code' in problem && problem.code === 'ENOENT') return 'gone'
    throw problem
  }
}

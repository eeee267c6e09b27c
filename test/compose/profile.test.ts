import assert from 'node:assert/strict'
import { filesystemServer, world, type World } from '../world.ts'
import { join } from 'node:path'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { test, type TestContext } from 'node:test'
import { tmpdir } from 'node:os'
import type { Overrides } from '../../src/registry/review.ts'

/** A real server whose configuration names a profile, from its listing to its reviews. */

const by = { name: 'operator', proof: 'terminal' }

async function files(context: TestContext, profile?: string): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-profile-'))
  const server = { ...filesystemServer(folder), ...(profile === undefined ? {} : { profile }) }
  const self = await world({ servers: { files: server }, unreviewed: true })
  context.after(async () => {
    await self.close()
    await rm(folder, { recursive: true, force: true })
  })
  return self
}

const accept = async (
  self: World,
  name: string,
  more: { overrides?: Overrides; profile?: string | null } = {},
) => {
  const { registry } = self.broker.core
  const id = `files/${name}`
  const digest = registry.tool(id)?.digest ?? ''
  return registry.review({ id, digest, overrides: {}, by, ...more })
}

test('under a profile a review has its bearings and labels, and the entry names the profile', async (context) => {
  const self = await files(context, 'filesystem')
  const { registry } = self.broker.core
  assert.equal(registry.tool('files/move_file')?.state, 'quarantined', 'a profile reviews nothing by itself')
  assert.ok((await accept(self, 'move_file')).ok)
  const { review } = registry.tool('files/move_file') ?? {}
  assert.deepEqual(review?.bears, [
    { at: '/source', kind: 'path' },
    { at: '/destination', kind: 'path' },
  ])
  assert.deepEqual(review?.effects, ['write', 'delete'])
  assert.ok((await accept(self, 'list_allowed_directories')).ok)
  assert.equal(registry.tool('files/list_allowed_directories')?.review?.integrity, 'trusted')
  const entry = (await self.entries()).findLast(({ subject }) => subject === 'files/move_file')
  const detail = JSON.parse(JSON.stringify(entry?.['detail']))
  assert.equal(detail.profile.name, 'filesystem')
  assert.match(detail.profile.digest, /^sha256:[0-9a-f]{64}$/)
  assert.deepEqual(detail.bears, review?.bears)
})

test('what the reviewer decides otherwise wins over the profile', async (context) => {
  const self = await files(context, 'filesystem')
  const overrides: Overrides = { effects: ['write'], confidentiality: 'secret', bears: [] }
  assert.ok((await accept(self, 'move_file', { overrides })).ok)
  const { review } = self.broker.core.registry.tool('files/move_file') ?? {}
  assert.deepEqual([review?.effects, review?.confidentiality, review?.bears], [['write'], 'secret', []])
})

test('without a profile nobody has said which arguments matter', async (context) => {
  const self = await files(context)
  assert.ok((await accept(self, 'move_file')).ok)
  assert.equal(self.broker.core.registry.tool('files/move_file')?.review?.bears, undefined)
})

test('a review does not cover a profile that has changed since it was shown, or cannot be read', async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-own-'))
  context.after(() => rm(folder, { recursive: true, force: true }))
  const own = join(folder, 'mine.yaml')
  const head = 'profile: mine\nabout: mine\nwritten_from: here\ntools:\n'
  await writeFile(own, `${head}  write_file: { effects: [write], arguments: { /path: path } }\n`)
  const self = await files(context, own)
  const shown = async () => {
    const path = `/v1/tools/${encodeURIComponent('files/write_file')}`
    const answer = await self.broker.api({ method: 'GET', path, query: {}, level: 'terminal' })
    return JSON.parse(JSON.stringify(answer.body))
  }
  const seen = await shown()
  assert.equal(seen.proposedBy, 'mine')
  assert.deepEqual(seen.proposed.bears, [{ at: '/path', kind: 'path' }])
  await writeFile(own, `${head}  write_file: { effects: [read], arguments: {} }\n`)
  const changed = await accept(self, 'write_file', { profile: seen.profile })
  assert.match(changed.ok ? '' : changed.detail, /the profile of `files` has changed/)
  await writeFile(own, 'nothing of the kind')
  const broken = await accept(self, 'write_file')
  assert.match(broken.ok ? '' : broken.detail, /its profile: `.*mine\.yaml`: /)
  assert.equal(self.broker.core.registry.tool('files/write_file')?.state, 'quarantined')
})

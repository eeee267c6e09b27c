import assert from 'node:assert/strict'
import { createListener } from '../../src/door/listener.ts'
import { describe, it } from 'node:test'

/** A listener whose one route answers when it is let. */
async function slowListener(graceMs: number) {
  const begun = Promise.withResolvers<void>()
  const free = Promise.withResolvers<void>()
  const listener = createListener({
    name: 'test',
    host: '127.0.0.1',
    port: 0,
    limits: { graceMs },
    routes: async (exchange) => {
      begun.resolve()
      await free.promise
      exchange.answer(200, { done: true })
    },
  })
  const { url } = await listener.listen()
  return { listener, url, begun: begun.promise, free: free.resolve }
}

describe('a listener that closes', () => {
  it('lets answers under way come to their end, and tells whoever comes meanwhile to come back', async () => {
    const { listener, url, begun, free } = await slowListener(60_000)
    const first = fetch(url)
    await begun
    const closed = listener.close()
    const late = await fetch(url)
    assert.equal(late.status, 503)
    assert.match(late.headers.get('retry-after') ?? '', /^\d+$/)
    assert.equal(late.headers.get('connection'), 'close')
    free()
    const answer = await first
    assert.deepEqual([answer.status, await answer.text()], [200, '{"done":true}'])
    assert.equal(answer.headers.get('connection'), 'close')
    await closed
    await assert.rejects(fetch(url))
  })

  it('cuts off what takes longer than the grace', async () => {
    const { listener, url, begun, free } = await slowListener(20)
    const first = fetch(url)
    await begun
    await Promise.all([listener.close(), assert.rejects(first)])
    free()
  })
})

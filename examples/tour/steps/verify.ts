import { countersign } from '../command.ts'
import { at, expect, kindOf, text, type Logged, type Step } from '../step.ts'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { verifyReceipt } from '../../../src/audit/receipt.ts'
import { writeFile } from 'node:fs/promises'
import type { Scene } from '../scene.ts'

/** What an auditor keeps elsewhere, so that nobody who owns the broker can rewrite the log unseen. */
export const kept = (scene: Scene) => ({
  log: join(scene.home, 'log'),
  vkey: join(scene.root, 'auditor.vkey'),
  checkpoint: join(scene.root, 'auditor.checkpoint'),
})

/** Anyone can check the log, without the broker and without its word. */
export const verifyStep: Step = {
  name: 'verify',
  title: 'The log, verified by someone who does not trust the broker',
  async play(scene, tell) {
    const { vkey, payment } = await keep(scene)
    const receipt = text(await scene.operators.get(`/v1/audit/entries/${payment.index}/receipt`), 'receipt')
    const verified = verifyReceipt({ text: receipt, vkey })
    expect(verified.ok && verified.index === payment.index, 'the receipt to prove the entry', verified)
    const proven: unknown = verified.ok ? JSON.parse(Buffer.from(verified.entry).toString('utf8')) : null
    expect(at(proven, 'call') === payment.entry['call'], 'the entry of the payment in the receipt', proven)
    const forged = receipt.replace(/^index \d+$/m, `index ${payment.index + 1}`)
    expect(!verifyReceipt({ text: forged, vkey }).ok, 'a receipt with another index to prove nothing')
    const hashes = receipt.split('\n\n')[0]?.split('\n').slice(3).length ?? 0
    tell({
      who: 'auditor',
      did: `A receipt for entry ${payment.index}, the payment’s intent, is checked with the log’s key alone.`,
      came: [`entry ${payment.index} is in the log: ${hashes} hashes lead to the signed checkpoint`],
      entries: [payment],
    })

    const all = await scene.log.all()
    await scene.stop()
    const files = kept(scene)
    const { exit, out } = await countersign(words(scene, vkey, files.log))
    expect(exit === 0 && out.startsWith('ok: '), '`audit verify` to find the log sound', { exit, out })
    expect(out.includes('signature: verified'), 'the signature to be verified', out)
    const size = Number(/^ok: (\d+) entries/.exec(out)?.[1])
    expect(size >= all.length, `all ${all.length} entries to be published`, out)
    const counts = /^(\d+) intents, (\d+) outcomes, .*; 0 calls without an outcome/m.exec(out)
    expect(Number(counts?.[1]) > 0 && counts?.[1] === counts?.[2], 'exactly one outcome for each intent', out)
    tell({
      who: 'auditor',
      did: 'The broker is stopped. `countersign audit verify` reads the published folder, with the key and a checkpoint kept elsewhere.',
      came: out.trimEnd().split('\n'),
      entries: [],
    })
  },
}

/** The words of the command line: offline, with what was kept. */
export const words = (scene: Scene, vkey: string, directory: string): readonly string[] => {
  const { checkpoint } = kept(scene)
  return ['audit', 'verify', directory, '--vkey', vkey, '--checkpoint', checkpoint]
}

/** Waits for a checkpoint over everything so far and keeps it; finds the intent that paid. */
async function keep(scene: Scene): Promise<{ readonly vkey: string; readonly payment: Logged }> {
  const files = kept(scene)
  const entries = await scene.log.all()
  const payment = entries.find(
    (one) => kindOf(one) === 'intent' && text(one.entry, 'what', 'tool') === 'playground/payment_send',
  )
  expect(payment !== undefined, 'the intent of the payment in the log')
  const vkey = text(await scene.operators.get('/v1/status'), 'log', 'vkey')
  await writeFile(files.vkey, vkey)
  for (let tries = 0; tries < 500; tries += 1) {
    const checkpoint = await scene.operators.get('/v1/audit/checkpoint').catch(() => null)
    if (Number(at(checkpoint, 'size')) >= entries.length) {
      await writeFile(files.checkpoint, text(checkpoint, 'text'))
      return { vkey, payment }
    }
    await sleep(20)
  }
  throw new Error('no checkpoint covered the log within ten seconds')
}

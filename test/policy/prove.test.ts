import { describe, it } from 'node:test'
import assert from 'node:assert/strict'
import { parseCases } from '../../src/policy/cases.ts'
import { prove, type Proof, type ProofRequest } from '../../src/policy/prove.ts'
import { readStarter, type Starter } from '../../src/policy/starter.ts'
import type { Source } from '../../src/policy/parse.ts'
import type { Tool } from '../../src/registry/tool.ts'

function toolsOf(text: string): readonly Tool[] {
  const parsed = parseCases(`tools:\n${text}\ncases: [{ name: none, call: a/b, expect: allow }]`)
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.problem)
  return parsed.cases[0]?.tools ?? []
}

const inbox = '  mail/inbox: { effects: [read], confidentiality: confidential, bears: {} }'
const send = '  mail/send: { effects: [egress], integrity: trusted, bears: { /to: recipient } }'
const contacts = `  mail/contacts:
    effects: [read]
    integrity: trusted
    bears: {}
    results: { fields: [{ at: /*/email, directory: true }] }`
const ledger =
  '  books/read: { effects: [read], confidentiality: confidential, integrity: trusted, bears: {} }'
const addContact = '  mail/add_contact: { effects: [write], integrity: trusted, bears: { /email: id } }'

const of = (sources: readonly Source[], tools: string, more: Partial<ProofRequest> = {}): Proof => {
  const proved = prove({
    sources,
    tools: toolsOf(tools),
    from: { label: 'confidential' },
    to: 'egress',
    recipient: 'unnamed',
    environment: 'development',
    taskEnvironment: 'development',
    clearance: 'secret',
    ...more,
  })
  assert.ok(proved.ok)
  return proved.proof
}

const under = async (starter: Starter, tools: string, more: Partial<ProofRequest> = {}) =>
  of(await readStarter(starter), tools, more)

const named = ({ chain }: Proof) => chain?.map(({ tool }) => tool) ?? null

describe('a proof', () => {
  it('finds no way to an unnamed recipient under `guarded` when what is private is untrusted, too', async () => {
    const proof = await under('guarded', [inbox, send, contacts].join('\n'))
    assert.equal(proof.chain, null)
    assert.equal(proof.complete, true)
    assert.ok(proof.states > 5 && proof.decisions > 10)
  })

  it('finds the way to a recipient whom the person named: that one is meant', async () => {
    const proof = await under('guarded', [inbox, send].join('\n'), { recipient: 'any' })
    assert.deepEqual(named(proof), ['mail/inbox', 'mail/send'])
    assert.match(proof.chain?.[1]?.assumes.join() ?? '', /recipient named by the person/)
  })

  it('finds the shortest way under `observe`', async () => {
    const proof = await under('observe', [contacts, ledger, inbox, addContact, send].join('\n'))
    assert.equal(proof.chain?.length, 2)
    assert.equal(proof.chain?.at(-1)?.tool, 'mail/send')
  })

  it('finds one as soon as the rules that stand in its way are broken', async () => {
    const [whole] = await readStarter('guarded')
    assert.ok(whole)
    const broken = (ids: readonly string[]): Source => ({
      ...whole,
      text: ids.reduce((text, id) => {
        const at = text.indexOf(`@id("${id}")`)
        const end = text.indexOf('};', at) + 2
        const unless = text.indexOf('unless', end - 1)
        return text.slice(0, at) + text.slice(text.indexOf('};', unless) + 2)
      }, whole.text),
    })
    const tools = [inbox, send].join('\n')
    const one = of([broken(['guarded/untrusted-target-irreversible'])], tools)
    assert.equal(one.chain, null, 'one rule is still in the way')
    const both = of(
      [broken(['guarded/untrusted-target-irreversible', 'guarded/private-untrusted-egress'])],
      tools,
    )
    assert.deepEqual(named(both), ['mail/inbox', 'mail/send'])
    assert.match(both.chain?.[1]?.assumes.join() ?? '', /recipient untrusted/)
  })

  it('tells a known correspondent from a stranger: trusted private data may go to the former', async () => {
    const tools = [ledger, send].join('\n')
    const proof = await under('guarded', tools)
    assert.deepEqual(named(proof), ['books/read', 'mail/send'])
    assert.match(
      proof.chain?.[1]?.assumes.join() ?? '',
      /recipient (?:from a trusted field|made by the model)/,
    )
    assert.equal((await under('guarded', tools, { recipient: 'stranger' })).chain, null)
  })

  it('sees that what the model wrote into a directory comes back as the directory’s', async () => {
    const tools = [contacts, addContact, inbox, send].join('\n')
    const open: Source = {
      name: 'open.cedar',
      text: `@id("all") permit (principal, action, resource);
@id("vouched") forbid (principal, action in Action::"effect:egress", resource)
unless { context.flow.origin == "purpose" || context.flow.origin == "directory" };`,
    }
    const proof = of([open], tools)
    assert.deepEqual(named(proof), ['mail/add_contact', 'mail/contacts', 'mail/inbox', 'mail/send'])
    assert.equal(of([open], [contacts, inbox, send].join('\n')).chain, null)
  })

  it('follows rules about which tools were called', () => {
    const rule: Source = {
      name: 'wall.cedar',
      text: `@id("all") permit (principal, action, resource);
@id("wall") forbid (principal, action in Action::"effect:egress", resource)
when { context.history.tools.contains("mail/inbox") };`,
    }
    assert.deepEqual(named(of([rule], [inbox, send].join('\n'))), null)
    assert.deepEqual(named(of([rule], [inbox, ledger, send].join('\n'))), ['books/read', 'mail/send'])
  })

  it('takes what it cannot represent for whatever allows, and names it', () => {
    const rule: Source = {
      name: 'hours.cedar',
      text: `@id("all") permit (principal, action, resource);
@id("night") forbid (principal, action in Action::"effect:egress", resource)
when { context.labels.confidentiality >= 2 && context.time.hour > 18 };
@id("never") forbid (principal, action in Action::"effect:egress", resource)
when { context.labels.confidentiality >= 3 && !(context.time.hour > 30) };`,
    }
    const proof = of([rule], [inbox, send].join('\n'))
    assert.deepEqual(named(proof), ['mail/inbox', 'mail/send'])
    assert.deepEqual(proof.chain?.[1]?.doubts, ['context.time.hour'])
    assert.deepEqual(proof.unknown, { 'context.time.hour': ['night', 'never'] })
  })

  it('counts a tool whose targets nobody has named as able to reach anybody', async () => {
    const proof = await under('observe', [inbox, '  old/post: { effects: [egress] }'].join('\n'))
    assert.deepEqual(named(proof), ['mail/inbox', 'old/post'])
    assert.equal(
      (await under('guarded', [inbox, '  old/post: { effects: [egress] }'].join('\n'))).chain,
      null,
    )
  })

  it('goes from one tool to one tool', async () => {
    const tools = [inbox, ledger, send, contacts].join('\n')
    const proof = await under('observe', tools, {
      from: { tool: 'books/read' },
      to: { tool: 'mail/send' },
    })
    assert.deepEqual(named(proof), ['books/read', 'mail/send'])
  })

  it('takes a result above the clearance for withheld', async () => {
    const proof = await under('observe', [inbox, send].join('\n'), { clearance: 'internal' })
    assert.equal(proof.chain, null)
  })

  it('says when it was cut off', async () => {
    const proof = await under('guarded', [inbox, send, contacts].join('\n'), { mostStates: 2 })
    assert.equal(proof.complete, false)
  })
})

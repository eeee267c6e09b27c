import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { definitionsOf } from './fixture.ts'
import { infer } from '../../src/registry/effects.ts'
import type { Definition } from '../../src/registry/tool.ts'
import type { JsonObject } from '../../src/lib/json.ts'

const named = (name: string, properties: JsonObject = {}, more: Partial<Definition> = {}): Definition => ({
  kind: 'tool',
  name,
  inputSchema: { type: 'object', properties },
  ...more,
})
const effectsOf = (definition: Definition): string => infer(definition).effects.join(' ')
const table = (server: 'filesystem' | 'everything'): { [name: string]: string } =>
  Object.fromEntries(
    definitionsOf(server)
      .filter(({ kind }) => kind === 'tool')
      .map((definition) => [definition.name, effectsOf(definition)]),
  )

test('the tools of the filesystem server', () => {
  assert.deepEqual(table('filesystem'), {
    read_file: 'read',
    read_text_file: 'read',
    read_media_file: 'read',
    read_multiple_files: 'read',
    write_file: 'write delete',
    edit_file: 'write delete',
    create_directory: 'write',
    list_directory: 'read',
    list_directory_with_sizes: 'read',
    directory_tree: 'read',
    move_file: 'write delete',
    search_files: 'read',
    get_file_info: 'read',
    list_allowed_directories: 'read',
  })
})

test('the tools of the everything server', () => {
  assert.deepEqual(table('everything'), {
    echo: 'read',
    'get-annotated-message': 'read',
    'get-env': 'read',
    'get-resource-links': 'read',
    'get-resource-reference': 'read',
    'get-structured-content': 'read',
    'get-sum': 'read',
    'get-tiny-image': 'read',
    'gzip-file-as-resource': 'write egress',
    'toggle-simulated-logging': 'write',
    'toggle-subscriber-updates': 'write',
    'trigger-long-running-operation': 'write execute',
    'simulate-research-query': 'read write',
  })
})

test('tools of known servers, by name alone', () => {
  const examples: { readonly [name: string]: string } = {
    // GitHub
    get_file_contents: 'read',
    list_commits: 'read',
    get_commit: 'read',
    search_code: 'read',
    issue_read: 'read',
    pull_request_read: 'read',
    get_me: 'read',
    list_releases: 'read',
    create_pull_request: 'write',
    merge_pull_request: 'write',
    issue_write: 'write',
    pull_request_review_write: 'write',
    fork_repository: 'write',
    star_repository: 'write',
    add_issue_comment: 'write egress',
    push_files: 'write egress',
    delete_file: 'write delete',
    run_workflow: 'write execute',
    create_or_update_file: 'write',
    // Slack
    slack_list_channels: 'read',
    slack_get_channel_history: 'read',
    conversations_search_messages: 'read',
    slack_post_message: 'write egress',
    slack_reply_to_thread: 'write egress',
    conversations_add_message: 'write egress',
    slack_add_reaction: 'write',
    // Postgres and Supabase
    query: 'read',
    list_tables: 'read',
    describe_table: 'read',
    execute_sql: 'write execute',
    apply_migration: 'write',
    drop_table: 'write delete',
    // Stripe
    list_payment_intents: 'read',
    retrieve_balance: 'read',
    search_stripe_resources: 'read',
    create_customer: 'write',
    create_refund: 'write spend',
    create_payment_link: 'write spend',
    finalize_invoice: 'write spend',
    cancel_subscription: 'write delete spend',
    // Kubernetes
    pods_list: 'read',
    pods_log: 'read',
    kubectl_get: 'read',
    kubectl_logs: 'read',
    resources_list: 'read',
    pods_delete: 'write delete',
    pods_exec: 'write execute',
    kubectl_apply: 'write',
    resources_create_or_update: 'write',
    scale_deployment: 'write',
    exec_in_pod: 'write execute',
    install_helm_chart: 'write execute',
    drain_node: 'write delete',
    // Git, browser, web, mail
    git_log: 'read',
    git_diff_staged: 'read',
    git_commit: 'write',
    git_checkout: 'write',
    git_reset: 'write delete',
    git_push: 'write egress',
    browser_navigate: 'read egress',
    browser_click: 'write',
    web_search: 'read egress',
    send_email: 'write egress',
    read_email: 'read',
    transferFunds: 'write spend',
    deleteAllRecords: 'write delete',
  }
  for (const [name, expected] of Object.entries(examples))
    assert.equal(effectsOf(named(name)), expected, name)
})

test('schemas say what names do not', () => {
  const text = { type: 'string' }
  assert.equal(effectsOf(named('query', { sql: text })), 'read execute')
  assert.equal(effectsOf(named('fetch', { url: text })), 'read egress')
  assert.equal(effectsOf(named('whatsapp', { recipient: text, message: text })), 'write egress')
  assert.equal(effectsOf(named('handle', { amount: { type: 'number' }, currency: text })), 'write spend')
})

test('what says nothing is taken to write and to reach out, never to read', () => {
  for (const name of ['frobnicate', 'do-the-thing', 'x', '...', 'assistant'])
    assert.equal(effectsOf(named(name)), 'write egress', name)
  assert.equal(effectsOf(named('frobnicate', {}, { annotations: { readOnlyHint: true } })), 'write egress')
})

test('a write that poses as a read is a danger, and stays a write', () => {
  const posing = infer(named('delete_branch', {}, { annotations: { readOnlyHint: true } }))
  assert.deepEqual(posing.effects, ['write', 'delete'])
  assert.deepEqual(
    posing.findings.map(({ rule, severity }) => [rule, severity]),
    [['write-posing-as-read', 'danger']],
  )
  const bySchema = infer(
    named(
      'get_file',
      { path: { type: 'string' }, content: { type: 'string' } },
      { annotations: { readOnlyHint: true } },
    ),
  )
  assert.deepEqual(
    bySchema.findings.map(({ severity }) => severity),
    ['danger'],
  )
  const byDescription = infer(
    named(
      'get_data',
      {},
      { description: 'Deletes the row and returns it.', annotations: { readOnlyHint: true } },
    ),
  )
  assert.deepEqual(byDescription.effects, ['read', 'write', 'delete'])
})

test('hints that raise are believed', () => {
  assert.equal(effectsOf(named('get_or_make', {}, { annotations: { readOnlyHint: false } })), 'read write')
  assert.equal(
    effectsOf(named('update_row', {}, { annotations: { destructiveHint: true, openWorldHint: true } })),
    'write delete egress',
  )
})

test('real servers that tell the truth are not called liars', () => {
  for (const server of ['filesystem', 'everything'] as const) {
    for (const definition of definitionsOf(server))
      assert.ok(
        infer(definition).findings.every(({ severity }) => severity !== 'danger'),
        definition.name,
      )
  }
})

test('common targets are found whatever their name, the first level before the second', () => {
  const text = { type: 'string' }
  assert.deepEqual(
    infer(named('a', { filePath: text, webhook_url: text, to: text, amount: { type: 'number' } })).targets,
    { path: '/filePath', url: '/webhook_url', recipient: '/to', amount: '/amount' },
  )
  assert.deepEqual(infer(named('a', { options: { type: 'object', properties: { path: text } } })).targets, {
    path: '/options/path',
  })
  assert.deepEqual(infer(named('a', { path: { type: 'object' }, amount: { type: 'boolean' } })).targets, {})
})

test('an argument that a policy on the common target would not see is a finding', () => {
  const move = infer(named('move', { source: { type: 'string' }, destination: { type: 'string' } }))
  assert.equal(move.targets.path, '/destination')
  assert.deepEqual(
    move.findings.map(({ rule, at }) => [rule, at]),
    [['target-unseen', '/inputSchema/properties/source']],
  )
  const many = infer(named('read', { paths: { type: 'array', items: { type: 'string' } } }))
  assert.deepEqual(
    many.findings.map(({ rule }) => rule),
    ['target-unseen'],
  )
})

test('names that speak of secrets start with a higher label', () => {
  assert.equal(infer(named('get-env')).confidentiality, 'secret')
  assert.equal(infer(named('read_email')).confidentiality, 'confidential')
  assert.equal(infer(named('list_files')).confidentiality, 'internal')
  assert.equal(infer(named('list_files')).integrity, 'untrusted')
})

test('property: no annotation takes an effect away, and there is always one', () => {
  const words = fc.constantFrom(
    'get',
    'list',
    'delete',
    'send',
    'order',
    'commit',
    'frob',
    'run',
    'pay',
    'file',
    'log',
  )
  const hint = fc.option(fc.boolean(), { nil: undefined })
  fc.assert(
    fc.property(
      fc.array(words, { minLength: 1, maxLength: 4 }),
      fc.constantFrom('_', '-', '.'),
      fc.record({ readOnlyHint: hint, destructiveHint: hint, openWorldHint: hint }),
      (parts, joiner, hints) => {
        const annotations = JSON.parse(JSON.stringify(hints))
        const bare = infer(named(parts.join(joiner))).effects
        const hinted = infer(named(parts.join(joiner), {}, { annotations })).effects
        assert.ok(bare.length > 0)
        assert.ok(bare.every((effect) => hinted.includes(effect)))
      },
    ),
  )
})

test('property: camelCase, snake_case and kebab-case say the same', () => {
  const word = fc.constantFrom('get', 'delete', 'user', 'send', 'mail', 'table', 'run')
  fc.assert(
    fc.property(fc.array(word, { minLength: 1, maxLength: 4 }), (words) => {
      const camel = words
        .map((one, index) => (index === 0 ? one : one[0]?.toUpperCase() + one.slice(1)))
        .join('')
      assert.equal(effectsOf(named(camel)), effectsOf(named(words.join('_'))))
      assert.equal(effectsOf(named(words.join('-'))), effectsOf(named(words.join('_'))))
    }),
  )
})

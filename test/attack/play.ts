import { isJsonObject, type Json, type JsonObject } from '../../src/lib/json.ts'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import type { Client } from '@modelcontextprotocol/client'
import type { World } from '../world.ts'

/** What an attack's tests say often. */

/** A tool call as an agent makes it. */
export const call = (client: Client, name: string, args: { readonly [name: string]: unknown } = {}) =>
  client.callTool({ name, arguments: { ...args } })

type Result = Awaited<ReturnType<typeof call>>

/** The broker's code for why a call was not made or not answered; null when the tool answered. */
export function refusal(result: Result): string | null {
  const said = result._meta?.['countersign/refusal']
  return typeof said === 'object' && said !== null && 'code' in said ? String(said.code) : null
}

/** Everything of a result that a model would read. */
export const textOf = (result: Result): string => JSON.stringify([result.content, result.structuredContent])

/** A member of something parsed, deep inside; undefined when it is not there. */
export function at(value: Json | undefined, ...path: readonly (string | number)[]): Json | undefined {
  let now = value
  for (const step of path) {
    if (Array.isArray(now)) now = now[Number(step)]
    else now = isJsonObject(now) && Object.hasOwn(now, step) ? now[step] : undefined
  }
  return now
}

/** Entries of one kind, newest last. */
export const ofKind = async (world: World, kind: string, code?: string): Promise<readonly JsonObject[]> =>
  (await world.entries()).filter(
    (entry) => entry['kind'] === kind && (code === undefined || entry['code'] === code),
  )

/** Numbers of asks that wait and of intents: what happened to the world, whatever was said. */
export const intents = async (world: World, tool: string): Promise<number> =>
  (await ofKind(world, 'intent')).filter((entry) => at(entry, 'what', 'tool') === tool).length

/** A JSON-RPC call of the 2026-07-28 revision as bytes that a test may spoil. */
export const message = (name: string, args: JsonObject, more: JsonObject = {}): JsonObject => ({
  jsonrpc: '2.0',
  id: 1,
  method: 'tools/call',
  params: {
    name,
    arguments: args,
    _meta: {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': {},
      'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' },
    },
    ...more,
  },
})

/** The broker's code in an answer over raw HTTP. */
export const codeOf = (body: JsonObject): Json | undefined =>
  at(body, 'result', '_meta', 'countersign/refusal', 'code') ??
  at(body, 'error', 'data', 'countersign', 'code') ??
  at(body, 'error', 'code')

/** The operators' API over its own listener, as somebody else on this machine would reach it. */
export async function operators(
  world: World,
  method: string,
  path: string,
  given: {
    readonly body?: unknown
    readonly key?: string | null
    readonly headers?: { readonly [name: string]: string }
  } = {},
): Promise<{ readonly status: number; readonly body: JsonObject }> {
  const { key = world.broker.operatorKey } = given
  const response = await fetch(new URL(path, world.broker.urls.operators), {
    method,
    headers: {
      ...(given.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
      ...given.headers,
    },
    ...(given.body === undefined ? {} : { body: JSON.stringify(given.body) }),
  })
  const text = await response.text()
  return { status: response.status, body: JSON.parse(text === '' ? '{}' : text) }
}

/** Waits until it holds, thirty seconds at most. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 30_000
  while (!(await holds())) {
    if (Date.now() > end) throw new Error('it never came to hold')
    await new Promise((after) => setTimeout(after, 20))
  }
}

/** A folder of one's own, gone with `remove`. */
export async function folder(
  files: { readonly [name: string]: string } = {},
): Promise<{ readonly path: string; close(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'countersign-attack-'))
  for (const [name, text] of Object.entries(files)) await writeFile(join(path, name), text)
  return { path, close: () => rm(path, { recursive: true, force: true }) }
}

export const waitNoMore = { approvals: { holdSeconds: 0 } } as const

/** What a test file started, ended in reverse order, also when starting failed half way. */
export function endings(): {
  add<T extends { close(): Promise<void> }>(thing: T): T
  close(): Promise<void>
} {
  const all: { close(): Promise<void> }[] = []
  return {
    add(thing) {
      all.push(thing)
      return thing
    },
    async close() {
      for (const thing of all.toReversed()) await thing.close()
    },
  }
}

/** Makes these the live policies, as a person at the terminal would. */
export async function rule(world: World, text: string): Promise<void> {
  const body = { files: [{ name: 'rules.cedar', text }] }
  const answer = await world.broker.api({ method: 'PUT', path: '/v1/policy', body, level: 'terminal' })
  if (answer.status !== 200) throw new Error(JSON.stringify(answer.body))
}

import { starters } from '../policy/starter.ts'
import { createHash } from 'node:crypto'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { findNodeAtLocation, parse, parseTree, printParseErrorCode } from 'jsonc-parser'
import { readFileSync } from 'node:fs'
import { isProfileName } from '../registry/profiles.ts'
import { configSchema, type Config, type StoreConfig } from './schema.ts'
import type { Node, ParseError } from 'jsonc-parser'
import type { z } from 'zod'

/** A configuration with every path made absolute. */
export type Loaded = {
  readonly config: Config
  /** Absolute path of the file, or null when there was none. */
  readonly file: string | null
  /** Folder that relative paths were resolved against. */
  readonly base: string
  /** `sha256:` over the file's bytes. */
  readonly digest: string
}

/** Says what was expected and what to do; `problems` has one line each, with line and column where known. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly problems: readonly string[]
  readonly hint: string
  constructor(file: string, problems: readonly string[], hint: string) {
    super(`\`${file}\` is not a valid configuration:\n${problems.map((line) => `  ${line}`).join('\n')}`)
    this.problems = problems
    this.hint = hint
  }
}

/** Reads a configuration file (JSON with comments and trailing commas). Unknown keys are errors. */
export function loadConfig(file: string): Loaded {
  const path = resolve(file)
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable'
    throw new ConfigError(
      file,
      [`it cannot be read (${code})`],
      'look at the path, or leave it out: a broker needs no configuration',
    )
  }
  return { ...check(text, file, dirname(path)), file: path }
}

/** The configuration of someone who has written none: nothing registered, default listeners. */
export const emptyConfig = (base: string): Loaded => ({ ...check('{}', 'built-in', base), file: null })

const syntax = { allowTrailingComma: true } as const

function check(text: string, file: string, base: string): Omit<Loaded, 'file'> {
  const errors: ParseError[] = []
  const value: unknown = parse(text, errors, syntax)
  if (errors.length > 0) {
    const problems = errors
      .slice(0, 5)
      .map((e) => `${position(text, e.offset)}: ${words(printParseErrorCode(e.error))}`)
    throw new ConfigError(file, problems, 'JSON with comments and trailing commas is expected')
  }
  const root = parseTree(text, [], syntax)
  const parsed = configSchema.safeParse(value)
  const problems = [
    ...unread(root).map(({ key, offset, why }) => `${position(text, offset)}: \`${key}\` ${why}`),
    ...(parsed.success ? [] : parsed.error.issues.flatMap((issue) => told(issue, { text, root, value }))),
  ]
  if (!parsed.success || problems.length > 0)
    throw new ConfigError(file, problems.slice(0, 10), 'every key is listed in docs/reference/config.md')
  const digest = `sha256:${createHash('sha256').update(text).digest('hex')}`
  return { config: absolute(parsed.data, base), base, digest }
}

type Issue = z.core.$ZodIssue
type Source = { readonly text: string; readonly root: Node | undefined; readonly value: unknown }

/** One line for each thing that is wrong, where it is wrong: line, column and key, what was expected. */
function told(issue: Issue, source: Source): readonly string[] {
  const { text, root } = source
  const keys = issue.path.map((key) => (typeof key === 'number' ? key : String(key)))
  const at = keys.length === 0 ? 'top level' : `\`${keys.join('.')}\``
  const where = (path: readonly (string | number)[]): string => {
    const node = root && nearest(root, path)
    return node === undefined ? '' : `${position(text, node.offset)}: `
  }
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => `${where([...keys, key])}${at}: unknown key \`${key}\``)
    case 'invalid_union': {
      const issues = meant(issue.errors, at, nodeValue(source, keys))
      return typeof issues === 'string'
        ? [`${where(keys)}${issues}`]
        : issues.flatMap((one) => told({ ...one, path: [...issue.path, ...one.path] }, source))
    }
    case 'invalid_key':
    case 'invalid_element':
      return issue.issues.map((one) => `${where(keys)}${at}: ${lower(one.message)}`)
    default:
      return [`${where(keys)}${at}: ${lower(issue.message)}`]
  }
}

/** Of the forms that a value may have, the one that its keys show was meant; words when they show none. */
function meant(errors: readonly (readonly Issue[])[], at: string, value: unknown): readonly Issue[] | string {
  const [stdio, http] = errors
  if (typeof value !== 'object' || value === null) return stdio ?? `${at}: invalid input`
  const has = (key: string) => Object.hasOwn(value, key)
  if (stdio !== undefined && http !== undefined && has('command') !== has('url'))
    return has('command') ? stdio : http
  const found = Object.keys(value).map((key) => `\`${key}\``)
  return `${at}: expected \`command\` (a program) or \`url\` (an endpoint), and not both; found ${found.join(', ') || 'nothing'}`
}

const lower = (message: string): string => message.charAt(0).toLowerCase() + message.slice(1)

const nodeValue = ({ value }: Source, path: readonly (string | number)[]): unknown =>
  path.reduce<unknown>(
    (inner, key) =>
      typeof inner === 'object' && inner !== null
        ? Object.entries(inner).find(([name]) => name === String(key))?.[1]
        : undefined,
    value,
  )

/** The key at the path, or what is nearest above it: a key that is missing has no place of its own. */
function nearest(root: Node, path: readonly (string | number)[]): Node {
  for (let length = path.length; length > 0; length -= 1) {
    const node = findNodeAtLocation(root, path.slice(0, length))
    if (node !== undefined) return node.parent?.type === 'property' ? node.parent : node
  }
  return root
}

/**
 * JSON takes the last of two equal keys without a word, and a key `__proto__` becomes what is inherited: what a person
 * reads in the file would not be what holds.
 */
function unread(
  root: Node | undefined,
): readonly { readonly key: string; readonly offset: number; readonly why: string }[] {
  const found: { key: string; offset: number; why: string }[] = []
  const rest = root === undefined ? [] : [root]
  for (let node = rest.pop(); node !== undefined; node = rest.pop()) {
    const seen = new Set<unknown>()
    for (const child of node.children ?? []) {
      rest.push(child)
      const key: unknown = child.type === 'property' ? child.children?.[0]?.value : undefined
      if (typeof key !== 'string') continue
      if (seen.has(key)) found.push({ key, offset: child.offset, why: 'is there twice; keep one' })
      if (key === '__proto__') found.push({ key, offset: child.offset, why: 'is no key; take it out' })
      seen.add(key)
    }
  }
  return found
}

function absolute(config: Config, base: string): Config {
  const at = (path: string) => (isAbsolute(path) ? path : join(base, path))
  const servers = Object.fromEntries(
    Object.entries(config.servers).map(([name, server]) => [
      name,
      {
        ...server,
        ...(server.profile === undefined || isProfileName(server.profile)
          ? {}
          : { profile: at(server.profile) }),
        ...(server.reviewed === undefined ? {} : { reviewed: at(server.reviewed) }),
        ...('command' in server && server.cwd !== undefined ? { cwd: at(server.cwd) } : {}),
      },
    ]),
  )
  const dir = config.policy.dir === undefined ? {} : { dir: at(config.policy.dir) }
  const beside = config.policy.shadow
  const isFolder = beside !== undefined && !starters.some((name) => name === beside)
  const shadow = isFolder ? { shadow: at(beside) } : {}
  const { keys, store, observe } = config
  const { tokenFile } = observe.metrics
  return {
    ...config,
    home: at(config.home),
    ...(keys === undefined ? {} : { keys: at(keys) }),
    ...(store === undefined ? {} : { store: absoluteStore(store, at) }),
    servers,
    policy: { ...config.policy, ...dir, ...shadow },
    ...(tokenFile === undefined
      ? {}
      : { observe: { ...observe, metrics: { ...observe.metrics, tokenFile: at(tokenFile) } } }),
  }
}

const absoluteStore = (store: StoreConfig, at: (path: string) => string): StoreConfig => ({
  ...store,
  ...(store.passwordFile === undefined ? {} : { passwordFile: at(store.passwordFile) }),
  ...(store.ca === undefined ? {} : { ca: at(store.ca) }),
})

function position(text: string, offset: number): string {
  const before = text.slice(0, offset).split('\n')
  return `line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1}`
}

const words = (code: string): string => code.replace(/([a-z])([A-Z])/g, '$1 $2').toLowerCase()

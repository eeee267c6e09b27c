import { createHash } from 'node:crypto'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { parse, printParseErrorCode, type ParseError } from 'jsonc-parser'
import { readFileSync } from 'node:fs'
import { configSchema, type Config } from './schema.ts'
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
    throw new ConfigError(file, [`it cannot be read (${code})`], 'countersign init')
  }
  return { ...check(text, file, dirname(path)), file: path }
}

/** The configuration of someone who has written none: nothing registered, default listeners. */
export const emptyConfig = (base: string): Loaded => ({ ...check('{}', 'built-in', base), file: null })

function check(text: string, file: string, base: string): Omit<Loaded, 'file'> {
  const errors: ParseError[] = []
  const value: unknown = parse(text, errors, { allowTrailingComma: true })
  if (errors.length > 0) {
    const problems = errors
      .slice(0, 5)
      .map((e) => `${position(text, e.offset)}: ${words(printParseErrorCode(e.error))}`)
    throw new ConfigError(file, problems, 'JSON with comments and trailing commas is expected')
  }
  const parsed = configSchema.safeParse(value)
  if (!parsed.success) {
    throw new ConfigError(
      file,
      parsed.error.issues.slice(0, 10).map(sentence),
      'every key is listed in docs/reference/config.md',
    )
  }
  const digest = `sha256:${createHash('sha256').update(text).digest('hex')}`
  return { config: absolute(parsed.data, base), base, digest }
}

function sentence(issue: z.core.$ZodIssue): string {
  const at = issue.path.length === 0 ? 'top level' : `\`${issue.path.map(String).join('.')}\``
  if (issue.code === 'unrecognized_keys')
    return `${at}: unknown key ${issue.keys.map((key) => `\`${key}\``).join(', ')}`
  return `${at}: ${issue.message.charAt(0).toLowerCase()}${issue.message.slice(1)}`
}

function absolute(config: Config, base: string): Config {
  const at = (path: string) => (isAbsolute(path) ? path : join(base, path))
  const servers = Object.fromEntries(
    Object.entries(config.servers).map(([name, server]) => [
      name,
      {
        ...server,
        ...(server.reviewed === undefined ? {} : { reviewed: at(server.reviewed) }),
        ...('command' in server && server.cwd !== undefined ? { cwd: at(server.cwd) } : {}),
      },
    ]),
  )
  const dir = config.policy.dir === undefined ? {} : { dir: at(config.policy.dir) }
  return { ...config, home: at(config.home), servers, policy: { ...config.policy, ...dir } }
}

function position(text: string, offset: number): string {
  const before = text.slice(0, offset).split('\n')
  return `line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1}`
}

const words = (code: string): string => code.replace(/([a-z])([A-Z])/g, '$1 $2').toLowerCase()

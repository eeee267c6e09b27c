import { bearingsSchema, resultsSchema } from './labels.ts'
import { confidentialities } from '../flow/labels.ts'
import { effects } from './tool.ts'
import { isPointer } from './review.ts'
import { nameSchema } from '../config/schema.ts'
import { z } from 'zod'
import type { Review, Tool } from './tool.ts'

const pointerSchema = z
  .string()
  .refine(isPointer, 'expected a JSON pointer into the arguments, such as `/path`')

const pinSchema = z.strictObject({
  id: z.string().min(3).max(2300),
  digest: z.string().regex(/^sha256:[0-9a-f]{64}$/, 'expected `sha256:` and 64 hex digits'),
  effects: z
    .array(z.enum(effects))
    .min(1)
    .refine((list) => new Set(list).size === list.length, 'expected each effect once'),
  environment: z.string().min(1).max(200),
  confidentiality: z.enum(confidentialities),
  integrity: z.enum(['trusted', 'untrusted']),
  targets: z
    .strictObject({
      path: pointerSchema,
      url: pointerSchema,
      recipient: pointerSchema,
      amount: pointerSchema,
    })
    .partial(),
  bears: bearingsSchema.optional(),
  results: resultsSchema.optional(),
  reviewer: z.string().min(1).max(200),
  at: z.iso.datetime(),
})

/** A file of reviews, kept beside the configuration and under version control. Unknown members are errors. */
const fileSchema = z.strictObject({
  version: z.literal(1),
  server: nameSchema,
  tools: z.array(pinSchema).max(10_000),
})

export type ReviewedFile = {
  readonly version: 1
  readonly server: string
  readonly tools: readonly ({ readonly id: string } & Review)[]
}

const maxChars = 32 * 1024 * 1024

/** Reads a file of reviews. The problem names the member and what was expected. */
export function parseReviewed(
  text: string,
): { readonly ok: true; readonly file: ReviewedFile } | { readonly ok: false; readonly problem: string } {
  if (text.length > maxChars) return { ok: false, problem: `expected at most ${maxChars} characters` }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return { ok: false, problem: 'expected JSON; export the file again with `countersign server export`' }
  }
  const parsed = fileSchema.safeParse(value)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    return {
      ok: false,
      problem: `\`/${issue?.path.map(String).join('/') ?? ''}\`: ${issue?.message ?? 'malformed'}`,
    }
  }
  const { server, tools } = parsed.data
  const foreign = tools.find((tool) => !tool.id.startsWith(`${server}/`))
  if (foreign !== undefined)
    return { ok: false, problem: `\`${foreign.id}\`: expected tools of the server \`${server}\` only` }
  if (new Set(tools.map((tool) => tool.id)).size < tools.length)
    return { ok: false, problem: 'expected each tool once' }
  return { ok: true, file: { version: 1, server, tools: tools.map(toPin) } }
}

function toPin({
  targets,
  bears,
  results,
  ...rest
}: z.infer<typeof pinSchema>): { readonly id: string } & Review {
  const { path, url, recipient, amount } = targets
  return {
    ...rest,
    ...(bears === undefined ? {} : { bears }),
    ...(results === undefined ? {} : { results }),
    targets: {
      ...(path === undefined ? {} : { path }),
      ...(url === undefined ? {} : { url }),
      ...(recipient === undefined ? {} : { recipient }),
      ...(amount === undefined ? {} : { amount }),
    },
  }
}

/** The reviews of a server's tools that can be called now, ordered by id, so that a change reads well as a diff. */
export function exportReviewed(server: string, tools: readonly Tool[]): ReviewedFile {
  const pins = tools.flatMap((tool) =>
    tool.server === server && tool.state === 'reviewed' && tool.review !== null
      ? [{ id: tool.id, ...tool.review }]
      : [],
  )
  return { version: 1, server, tools: pins.sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)) }
}

export type Matched = {
  /** Offered with exactly the definition that the file speaks of, and not reviewed since. */
  readonly fresh: readonly { readonly tool: Tool; readonly review: Review }[]
  /** Offered with another definition than the file's: stay as they are. */
  readonly moved: readonly string[]
  /** Not offered. */
  readonly missing: readonly string[]
}

/**
 * Which tools a file pins: those whose digest is the file's and that are in quarantine or were reviewed before the file's
 * review was made. A later review made here is never replaced.
 */
export function matchReviewed(file: ReviewedFile, tools: readonly Tool[]): Matched {
  const known = new Map(tools.filter((tool) => tool.state !== 'removed').map((tool) => [tool.id, tool]))
  const fresh: { tool: Tool; review: Review }[] = []
  const moved: string[] = []
  const missing: string[] = []
  for (const { id, ...review } of file.tools) {
    const tool = known.get(id)
    if (tool === undefined) missing.push(id)
    else if (tool.digest !== review.digest) moved.push(id)
    else if (tool.review === null || tool.state === 'quarantined' || tool.review.at < review.at)
      fresh.push({ tool, review })
  }
  return { fresh, moved, missing }
}

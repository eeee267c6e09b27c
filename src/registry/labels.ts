import { bearings } from '../flow/bears.ts'
import { compilePattern } from './pattern.ts'
import { confidentialities } from '../flow/labels.ts'
import { resultFormats, type ResultField, type ResultLabels } from '../flow/fields.ts'
import { z } from 'zod'

/** RFC 6901 with `*` for every item or member; the empty pointer is the whole result. */
export const isWildPointer = (text: string): boolean =>
  /^(?:\/(?:[^~/]|~[01])*)*$/.test(text) && text.length <= 512

const pointerSchema = z
  .string()
  .refine(isWildPointer, 'expected a JSON pointer, `*` for every item, such as `/recipients` or `/*/email`')

/** How a review, or a profile, names the arguments that say where a call acts. */
export const bearingsSchema = z
  .array(
    z.strictObject({
      at: pointerSchema.refine((at) => at !== '', 'expected an argument, such as `/recipient`'),
      kind: z.enum(bearings),
    }),
  )
  .max(64)

const linear = (source: string): boolean => /\(/.test(source) && compilePattern(source) !== null

const fieldSchema = z
  .strictObject({
    at: pointerSchema.optional(),
    pattern: z
      .string()
      .max(500)
      .refine(linear, 'expected a pattern with one group that matches in linear time (RE2)')
      .optional(),
    confidentiality: z.enum(confidentialities).optional(),
    integrity: z.enum(['trusted', 'untrusted']).optional(),
    directory: z.boolean().optional(),
  })
  .refine(
    ({ at, pattern }) => (at === undefined) !== (pattern === undefined),
    'expected `at` or `pattern`, one of them',
  )
  .refine(
    ({ directory, integrity }) => directory !== true || integrity !== 'untrusted',
    'expected a directory to be trusted: its values are meant to be acted on',
  )

/** Labels of single fields of a tool's results. */
export const resultsSchema = z
  .strictObject({ format: z.enum(resultFormats).optional(), fields: z.array(fieldSchema).max(64) })
  .transform(({ format, fields }): ResultLabels => ({
    ...(format === undefined ? {} : { format }),
    fields: fields.map(toField),
  }))

const toField = ({
  at,
  pattern,
  confidentiality,
  integrity,
  directory,
}: z.infer<typeof fieldSchema>): ResultField => ({
  ...(pattern === undefined ? { at: at ?? '' } : { pattern }),
  ...(confidentiality === undefined ? {} : { confidentiality }),
  ...(integrity === undefined ? {} : { integrity }),
  ...(directory === true ? { directory } : {}),
})

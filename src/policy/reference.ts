import type { Type } from '@cedar-policy/cedar-wasm/nodejs'
import { contextFields, isGroup, principalFields, resourceFields } from './vocabulary.ts'
import type { Fields } from './vocabulary.ts'

/** The tables of `docs/reference/policy-schema.md`, from the words themselves; a test keeps the page equal to them. */
export function vocabularyTables(): string {
  return [
    table('principal', 'an `Agent` or a `Person`', principalFields),
    table('resource', 'a `Tool` in a `Server`', resourceFields),
    table('context', 'besides `context.input`', contextFields),
  ].join('\n\n')
}

function table(root: string, what: string, fields: Fields): string {
  const rows = rowsOf(root, fields)
  return [
    `### \`${root}\`: ${what}`,
    '',
    '| name | type | what it is |',
    '| --- | --- | --- |',
    ...rows,
  ].join('\n')
}

function rowsOf(prefix: string, fields: Fields): readonly string[] {
  return Object.entries(fields).flatMap(([name, field]) => {
    const optional = field.optional === true ? ', optional' : ''
    const row = (type: string): string => `| \`${prefix}.${name}\` | ${type}${optional} | ${field.doc} |`
    return isGroup(field)
      ? [row('record'), ...rowsOf(`${prefix}.${name}`, field.fields)]
      : [row(typeName(field.type))]
  })
}

function typeName(type: Type<string>): string {
  if (type.type === 'Extension' && 'name' in type) return type.name
  return type.type === 'Set' ? 'Set of String' : type.type
}

import type { ActionType, SchemaJson, Type, TypeOfAttribute } from '@cedar-policy/cedar-wasm/nodejs'
import type { Tool } from '../registry/tool.ts'
import type { RecordShape, Shape } from './shape.ts'
import { contextWith, isGroup, principalFields, resourceFields } from './vocabulary.ts'
import type { Fields } from './vocabulary.ts'

/** The groups that a tool's action is in. Without them in a request a group rule would silently not match. */
export const groupsOf = (tool: Tool): readonly string[] => [
  `server:${tool.server}`,
  `kind:${tool.kind}`,
  ...(tool.review?.effects ?? []).map((effect) => `effect:${effect}`),
]

/** One action as policies see it: what a policy names, its groups and the shape of its arguments. */
export type ActionSlice = { readonly id: string; readonly groups: readonly string[]; readonly input: Shape }

/**
 * The Cedar schema of one tool: the words that all share and this tool's own arguments. `named` are the other actions
 * and groups that the policy names; they are declared without a request of their own.
 */
export function schemaOf(
  slice: ActionSlice,
  named: readonly string[],
  measures: readonly string[] = [],
): SchemaJson<string> {
  const actions: { [id: string]: ActionType<string> } = Object.create(null)
  for (const id of [...named, ...slice.groups]) actions[id] = {}
  actions[slice.id] = {
    memberOf: slice.groups.map((id) => ({ id })),
    appliesTo: {
      principalTypes: ['Agent', 'Person'],
      resourceTypes: ['Tool'],
      context: {
        type: 'Record',
        attributes: { ...attributesOf(contextWith(measures)), input: typeOfShape(slice.input) },
      },
    },
  }
  const principal: Type<string> = { type: 'Record', attributes: attributesOf(principalFields) }
  return {
    '': {
      entityTypes: {
        Person: { shape: principal },
        Agent: { memberOfTypes: ['Person'], shape: principal },
        Server: {},
        Tool: {
          memberOfTypes: ['Server'],
          shape: { type: 'Record', attributes: attributesOf(resourceFields) },
        },
      },
      actions,
    },
  }
}

type Attributes = { [name: string]: TypeOfAttribute<string> }

function attributesOf(fields: Fields): Attributes {
  const attributes: Attributes = {}
  for (const [name, field] of Object.entries(fields)) {
    const type: Type<string> = isGroup(field)
      ? { type: 'Record', attributes: attributesOf(field.fields) }
      : field.type
    attributes[name] = { ...type, required: field.optional !== true }
  }
  return attributes
}

function typeOfShape(shape: Shape): Type<string> {
  switch (shape.kind) {
    case 'string':
      return { type: 'String' }
    case 'long':
      return { type: 'Long' }
    case 'boolean':
      return { type: 'Boolean' }
    case 'decimal':
      return { type: 'Extension', name: 'decimal' }
    case 'set':
      return { type: 'Set', element: typeOfShape(shape.of) }
    case 'record':
      return { type: 'Record', attributes: recordAttributes(shape) }
  }
}

function recordAttributes(shape: RecordShape): Attributes {
  const attributes: Attributes = {}
  for (const [name, field] of shape.fields)
    attributes[name] = { ...typeOfShape(field.shape), required: field.required }
  return attributes
}

import { brief } from './bounds.ts'
import { gone, unspoken } from './propose.ts'
import { infer } from './effects.ts'
import { known, type Profile, type ProfileTool } from './profile.ts'
import type { Definition, Effect, Finding } from './tool.ts'

/** What a profile leaves unsaid of a server's tools, or says and the server does not. */
export type Shortcoming = {
  /** Null when it is about the server. */
  readonly tool: string | null
  readonly rule: ShortcomingRule
  readonly severity: Finding['severity']
  readonly message: string
  /** What an operator pays for it. */
  readonly costs: string
}

export const shortcomingRules = [
  'no-profile',
  'unknown-tool',
  'no-effects',
  'no-bearings',
  'no-labels',
  'effect-missing',
  'effect-added',
  'argument-gone',
  'argument-unspoken',
  'not-offered',
] as const
export type ShortcomingRule = (typeof shortcomingRules)[number]

/**
 * Which tools lack labels and bearings, and what that costs: every finding says it. Without a profile that is all of
 * them. `danger` and `warning` are for what makes questions or takes away protection, `note` for the rest. Pure.
 */
export function lintProfile(
  profile: Profile | null,
  definitions: readonly Definition[],
): readonly Shortcoming[] {
  const tools = definitions.filter(({ kind }) => kind === 'tool')
  if (profile === null) return [...nobodySaid(tools), ...tools.flatMap((tool) => unknown(tool, 'nobody has'))]
  const offered = new Set(tools.map(({ name }) => name))
  return [
    ...tools.flatMap((definition) => {
      const tool = known(profile, definition.name)
      return tool === null
        ? unknown(definition, `the profile \`${profile.name}\` has not`)
        : lintTool(tool, definition)
    }),
    ...profile.tools
      .filter(({ name, aliases }) => ![name, ...aliases].some((one) => offered.has(one)))
      .map(({ name }): Shortcoming => ({
        tool: name,
        rule: 'not-offered',
        severity: 'note',
        message: `the server does not offer \`${name}\``,
        costs: 'nothing; it may be switched off there, or belong to another version',
      })),
  ]
}

const nobodySaid = (tools: readonly Definition[]): readonly Shortcoming[] =>
  tools.length === 0
    ? []
    : [
        {
          tool: null,
          rule: 'no-profile',
          severity: 'warning',
          message: `no profile speaks of its ${tools.length} tools`,
          costs: 'effects are guessed from names and schemas, and each of the following',
        },
      ]

const changing: readonly Effect[] = ['write', 'delete', 'execute', 'egress', 'spend']

const changes = (effects: readonly Effect[]): boolean => effects.some((effect) => changing.includes(effect))

const unknown = (definition: Definition, who: string): readonly Shortcoming[] => {
  const name = brief(definition.name)
  const { effects } = infer(definition)
  const asks = changes(effects) ? `every write of \`${name}\` asks; ` : ''
  return [
    {
      tool: definition.name,
      rule: 'unknown-tool',
      severity: changes(effects) ? 'warning' : 'note',
      message: `${who} said anything of \`${name}\``,
      costs: `${asks}${unlabelled(name)}`,
    },
  ]
}

const unlabelled = (name: string): string =>
  `whatever \`${name}\` returns makes the task untrusted, and a confidential result counts as internal`

type Give = (rule: ShortcomingRule, severity: Finding['severity'], message: string, costs: string) => void

function lintTool(tool: ProfileTool, definition: Definition): readonly Shortcoming[] {
  const found: Shortcoming[] = []
  const give: Give = (rule, severity, message, costs) =>
    void found.push({ tool: definition.name, rule, severity, message, costs })
  lintEffects(tool, definition, give)
  lintBearings(tool, definition, give)
  const name = brief(definition.name)
  if (tool.confidentiality === null || tool.integrity === null)
    give('no-labels', 'warning', `what \`${name}\` returns has no label of its own`, unlabelled(name))
  return found
}

function lintEffects(tool: ProfileTool, definition: Definition, give: Give): void {
  const name = brief(definition.name)
  const inferred = infer(definition)
  if (tool.effects === null) {
    give(
      'no-effects',
      'warning',
      `no effects are given for \`${name}\``,
      `they are guessed from its name and schema: ${inferred.effects.join(', ')}`,
    )
    return
  }
  const has = new Set<Effect>(tool.effects)
  for (const effect of inferred.effects) {
    if (has.has(effect) || !changing.includes(effect)) continue
    const why = tool.without[effect]
    const isFirm = inferred.firm.includes(effect)
    const because = inferred.because.filter((one) => one.split(':')[0]?.includes(effect) === true).join('; ')
    const message = `\`${name}\` looks like ${effect} (${because}), which the profile takes away`
    if (why === undefined)
      give('effect-missing', isFirm ? 'danger' : 'note', message, `rules on ${effect} never see \`${name}\``)
    else
      give(
        'effect-missing',
        'note',
        `${message}: “${brief(why, 300)}”`,
        `rules on ${effect} never see \`${name}\``,
      )
  }
  const added = tool.effects.filter(
    (effect) => !inferred.effects.includes(effect) && changing.includes(effect),
  )
  if (added.length > 0)
    give(
      'effect-added',
      'note',
      `the profile says ${added.join(', ')} of \`${name}\`, which its name and schema do not`,
      `rules on ${added.join(', ')} see \`${name}\``,
    )
}

function lintBearings(tool: ProfileTool, definition: Definition, give: Give): void {
  const name = brief(definition.name)
  const writes = changes(tool.effects ?? infer(definition).effects)
  if (tool.bears === null) {
    give(
      'no-bearings',
      writes ? 'warning' : 'note',
      `nobody has said which arguments of \`${name}\` decide where it acts`,
      writes ? `every write of \`${name}\` asks` : `what \`${name}\` reads is not traced to where it was met`,
    )
    return
  }
  const lost = gone(tool, definition)
  // Versions name arguments differently, and a profile names them all; none of them is another matter.
  const isAll = lost.length === tool.bears.length && tool.bears.length > 0
  for (const { at, kind } of lost)
    give(
      'argument-gone',
      isAll && writes ? 'warning' : 'note',
      `\`${name}\` takes no argument \`${brief(at)}\` (${kind})`,
      isAll && writes
        ? `it names another tool, so every write of \`${name}\` asks`
        : 'it is left out of the review',
    )
  for (const { at, kind } of unspoken(tool, definition))
    give(
      'argument-unspoken',
      writes ? 'warning' : 'note',
      `\`${brief(at)}\` of \`${name}\` looks like ${kind === 'account' || kind === 'amount' || kind === 'id' ? 'an' : 'a'} ${kind}, and the profile does not speak of it`,
      'it is counted as one: a call asks when its value came from untrusted data',
    )
}

/** Whether somebody should act on it. */
export const isClean = (found: readonly Shortcoming[]): boolean =>
  found.every(({ severity }) => severity === 'note')

import { dirname } from 'node:path'
import { emptyConfig, loadConfig } from '../config/load.ts'
import { startingPolicy } from './policies.ts'
import { StoreRefused } from '../store/conflict.ts'
import { viewStore } from './view.ts'
import * as policies from '../store/verbs/policies.ts'
import * as registry from '../store/verbs/registry.ts'
import type { Config } from '../config/schema.ts'
import type { Source } from '../policy/parse.ts'
import type { Tool } from '../registry/tool.ts'
import type { Viewing } from '../store/engine.ts'

/** What an installation decides by, read beside its broker or without one. Nothing of it is changed. */
export type Installed = {
  readonly config: Config
  /** Null when there is no store yet: nothing was ever registered. */
  readonly viewing: Viewing | null
  readonly tools: readonly Tool[]
  readonly servers: readonly string[]
  /** The set that a broker decides by, or would start with. */
  readonly policies: readonly Source[]
  close(): Promise<void>
}

export async function openInstalled(place: {
  readonly home: string
  readonly configFile: string | null
}): Promise<Installed> {
  const { configFile, home } = place
  const loaded = configFile === null ? emptyConfig(dirname(home)) : loadConfig(configFile)
  const config: Config = { ...loaded.config, home }
  const viewing = await viewStore(config).catch((problem: unknown) => {
    if (problem instanceof StoreRefused) return null
    throw problem
  })
  const close = async (): Promise<void> => viewing?.close()
  try {
    const tools = viewing === null ? [] : await viewing.view(registry.tools())
    const servers = viewing === null ? [] : await viewing.view(registry.servers())
    const live = async () => (viewing === null ? null : viewing.view(policies.live()))
    const starting = await startingPolicy(config.policy, { live })
    return {
      config,
      viewing,
      tools,
      servers: [...Object.keys(config.servers), ...servers.map(({ name }) => name)],
      policies: starting.files,
      close,
    }
  } catch (problem) {
    await close()
    throw problem
  }
}

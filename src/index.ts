/**
 * Countersign as a library: run a broker in your own process, or write a port for it. The control path itself is not
 * exported stage by stage: it is taken whole.
 */
export { startBroker, openBroker, type Broker, type BrokerOptions, type Opened } from './broker.ts'
export { ConfigError, emptyConfig, loadConfig, type Loaded } from './config/load.ts'
export { configSchema, type Config } from './config/schema.ts'
export { effects, type Definition, type Effect, type Review, type Tool } from './registry/tool.ts'
export { confidentialities, type Confidentiality, type Integrity, type Labels } from './flow/labels.ts'
export { refusals, type Refused, type RefusalCode } from './call/refusal.ts'
export type { Arrival, Settled } from './call/states.ts'
export type { Store } from './store/ports.ts'
export type { Entry } from './audit/entry.ts'

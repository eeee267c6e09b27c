import type { JsonObject } from '../lib/json.ts'
import { logLevels, type LogLevel, type LogLine } from './answer.ts'

const maxLines = 200
const maxChars = 256 * 1024
const maxLogger = 200

/** What a call logs until its answer. Bounded; what is too much or too little severe is left out. */
export type Log = {
  readonly hear: (line: LogLine) => void
  /** What has come since the last time. */
  take(): { readonly log?: readonly LogLine[] }
}

/** `least`: the least severe level that is kept; null keeps nothing. */
export function keepLog(least: LogLevel | null): Log {
  let lines: LogLine[] = []
  let chars = 0
  return {
    hear(line) {
      if (least === null || !isAtLeast(line.level, least) || lines.length >= maxLines) return
      const size = JSON.stringify(line.data).length
      if (chars + size > maxChars) return
      chars += size
      lines.push(line)
    },
    take() {
      const taken = lines
      lines = []
      return taken.length === 0 ? {} : { log: taken }
    },
  }
}

export const isAtLeast = (level: LogLevel, least: LogLevel): boolean =>
  logLevels.indexOf(level) >= logLevels.indexOf(least)

export const isLogLevel = (value: unknown): value is LogLevel => logLevels.some((level) => level === value)

/** `notifications/message`; null when it is none that MCP knows. */
export function readLogLine({ level, logger, data }: JsonObject): LogLine | null {
  if (!isLogLevel(level) || data === undefined) return null
  return typeof logger === 'string' ? { level, logger: logger.slice(0, maxLogger), data } : { level, data }
}

import { bold, cyan, dim, green, red, visible, yellow, type Terminal } from './output.ts'
import { showAsk } from '../approval/show.ts'
import type { Answering, ApprovalService } from '../approval/approvals.ts'
import type { Ask } from '../approval/ask.ts'
import type { Clock } from '../lib/clock.ts'
import type { Fact, Hub } from '../observe/hub.ts'
import type { Presence } from '../identity/operator.ts'
import type { Task } from '../task/task.ts'
import type { Tool } from '../registry/tool.ts'

export type WatchParts = {
  readonly hub: Hub
  readonly approvals: Pick<ApprovalService, 'pending' | 'answer'>
  readonly clock: Clock
  /** What is known of an ask besides itself. */
  readonly known: (ask: Ask) => Promise<{ readonly task: Task | null; readonly tool: Tool | null }>
  /** The person at this terminal: their presence is a key press here. */
  readonly atTerminal: () => Presence
  /** The same person, proven by passphrase; null when it is wrong. */
  readonly withPassphrase: (passphrase: string) => Promise<Presence | null>
  /** Revokes everything, or lifts that again. Gives what is in force now. */
  readonly toggleStop: () => Promise<'stopped' | 'running'>
  readonly quit: () => void
}

/** What the next key means. */
type Mode =
  | { readonly kind: 'watching' }
  | { readonly kind: 'asking'; readonly ask: Ask; readonly shownAt: number }
  | { readonly kind: 'passphrase'; readonly ask: Ask; readonly typed: string }

/** A key pressed sooner than this after an ask appeared was meant for something else. */
const settleMs = 400

const controlC = '\u0003'

/**
 * The terminal that runs the broker: calls as they happen, asks as they come. One ask at a time, shown whole, so that
 * a key press answers what is on the screen and nothing else. Returns what takes keys and what ends it.
 */
export function watch(
  parts: WatchParts,
  terminal: Terminal,
): { key(text: string): Promise<void>; end(): void } {
  let mode: Mode = { kind: 'watching' }

  const say = (text: string) => terminal.err(`${text}\n`)

  async function showNext(): Promise<void> {
    if (mode.kind !== 'watching') return
    const [ask] = await parts.approvals.pending()
    if (ask === undefined || mode.kind !== 'watching') return
    const shown = showAsk(ask, await parts.known(ask), parts.clock.now())
    mode = { kind: 'asking', ask, shownAt: parts.clock.now() }
    say(`\n${bold(terminal, yellow(terminal, '● a call asks for you'))}`)
    for (const line of shown.lines) say(`  ${line}`)
    say(
      `  ${bold(terminal, 'y')} approve once   ${bold(terminal, 'n')} refuse   ${bold(terminal, 's')} stop everything`,
    )
  }

  async function give(ask: Ask, answer: Answering['answer'], presence: Presence): Promise<void> {
    const given = await parts.approvals.answer(ask.id, {
      answer,
      reason: 'answered in the serving terminal',
      by: presence.actor,
      proof: presence.proof,
    })
    say(given.ok ? answered(terminal, given.ask) : `  not taken: ${given.problem.replaceAll('-', ' ')}`)
    mode = { kind: 'watching' }
    await showNext()
  }

  async function pressed(key: string): Promise<void> {
    if (key === 's') return say(await stopWords(parts, terminal))
    if (mode.kind !== 'asking' || parts.clock.now() - mode.shownAt < settleMs) return
    const { ask } = mode
    if (key === 'n') return give(ask, 'refuse', parts.atTerminal())
    if (key !== 'y') return
    if (ask.requirement.proof === 'terminal') return give(ask, 'approve', parts.atTerminal())
    mode = { kind: 'passphrase', ask, typed: '' }
    terminal.err(`  this one needs your passphrase (Enter alone: back): `)
  }

  async function typed(key: string, at: Extract<Mode, { kind: 'passphrase' }>): Promise<void> {
    if (key !== '\r' && key !== '\n') {
      mode = { ...at, typed: key === '\u007f' ? at.typed.slice(0, -1) : at.typed + key }
      return
    }
    say('')
    mode = { kind: 'asking', ask: at.ask, shownAt: 0 }
    if (at.typed === '') return
    const presence = await parts.withPassphrase(at.typed)
    if (presence === null) return say('  that passphrase was not accepted; press y to try again')
    return give(at.ask, 'approve', presence)
  }

  const unsubscribe = parts.hub.subscribe((fact) => {
    if (mode.kind !== 'passphrase' || fact.kind !== 'call')
      for (const line of factLines(fact, terminal)) say(line)
    if (fact.kind === 'answered' && mode.kind !== 'watching' && mode.ask.id === fact.ask.id)
      mode = { kind: 'watching' }
    if (fact.kind === 'ask' || fact.kind === 'answered') void showNext()
  })

  return {
    async key(text) {
      for (const key of text) {
        if (key === controlC) return parts.quit()
        await (mode.kind === 'passphrase' ? typed(key, mode) : pressed(key.toLowerCase()))
      }
    },
    end: unsubscribe,
  }
}

async function stopWords(parts: WatchParts, terminal: Terminal): Promise<string> {
  return (await parts.toggleStop()) === 'stopped'
    ? red(terminal, '■ everything is stopped: every call is refused. Press s again to go on.')
    : green(terminal, '▶ running again')
}

function answered(terminal: Terminal, ask: Ask): string {
  switch (ask.state) {
    case 'approved':
      return green(terminal, `  ✓ approved, for this one call (${ask.id})`)
    case 'refused':
      return red(terminal, `  ✗ refused (${ask.id})`)
    case 'pending':
      return `  counted; ${ask.requirement.count - ask.answers.length} more needed (${ask.id})`
    case 'expired':
    case 'consumed':
      return `  ${ask.state} (${ask.id})`
  }
}

/** One line a fact; names from agents and servers are made visible. */
export function factLines(fact: Fact, terminal: Pick<Terminal, 'colour'>): readonly string[] {
  const time = dim(terminal, new Date(fact.at).toISOString().slice(11, 19))
  switch (fact.kind) {
    case 'call': {
      const mark = fact.refused
        ? red(terminal, '✗')
        : fact.end === 'ok'
          ? green(terminal, '✓')
          : yellow(terminal, '!')
      const who = `${cyan(terminal, visible(fact.agent))} ${visible(fact.tool)}`
      return [`${time} ${mark} ${who}  ${fact.end}  ${dim(terminal, `${fact.ms} ms  ${fact.call}`)}`]
    }
    case 'act':
      return [
        `${time} · ${fact.act.replaceAll('-', ' ')} ${visible(fact.subject)} ${dim(terminal, `by ${visible(fact.by)}`)}`,
      ]
    case 'ask':
    case 'answered':
      return []
  }
}

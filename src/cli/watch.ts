import { bold, cyan, dim, green, red, visible, yellow, type Terminal } from './output.ts'
import { edited } from './secretly.ts'
import { showAsk } from '../approval/show.ts'
import type { Answering, AnswerProblem, ApprovalService } from '../approval/approvals.ts'
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
  /** The same person, proven by passphrase; else why not, in words. */
  readonly withPassphrase: (passphrase: string) => Promise<Presence | string>
  /** Sets the passphrase of the person at this terminal; null when done, else why not, in words. */
  readonly setPassphrase: (passphrase: string) => Promise<string | null>
  /** Revokes everything, or lifts that again. Gives what is in force now. */
  readonly toggleStop: () => Promise<'stopped' | 'running'>
  readonly quit: () => void
}

/** What the next key means. */
type Mode =
  | { readonly kind: 'watching' }
  | { readonly kind: 'asking'; readonly ask: Ask; readonly shownAt: number }
  /**
   * Left by Enter or Escape alone, also when the ask has ended meanwhile: what is left of a passphrase must not be taken
   * for keys that answer the next ask.
   */
  | { readonly kind: 'passphrase'; readonly ask: Ask; readonly typed: string }
  /** A new passphrase; `first` is what was typed the first time, null before. */
  | { readonly kind: 'setting'; readonly typed: string; readonly first: string | null }

/** A key pressed sooner than this after an ask appeared was meant for something else. */
const settleMs = 400
/** A second press of the stop key within this time is the first one repeated, not its opposite. */
const stopMs = 1000
/** Lines that wait while a passphrase is typed. */
const mostHeld = 200

const controlC = '\u0003'
const escapeKey = '\u001b'
/** Arrow and function keys are sequences of letters (ECMA-48 section 5.4): an F4 must not stop everything. */
// oxlint-disable-next-line no-control-regex
const sequences = /\u001b(?:\[[0-?]*[ -/]*[@-~]|O.|.)?/gsu

/**
 * The terminal that runs the broker: calls as they happen, asks as they come. One ask at a time, shown whole, so that
 * a key press answers what is on the screen and nothing else. Returns what takes keys and what ends it.
 */
export function watch(
  parts: WatchParts,
  terminal: Terminal,
): { key(text: string): Promise<void>; end(): void } {
  const screen = new Screen(parts, terminal)
  const unsubscribe = parts.hub.subscribe((fact) => screen.told(fact))
  screen.start()
  return {
    key: (text) => screen.keys(text),
    end: () => {
      unsubscribe()
      screen.end()
    },
  }
}

class Screen {
  readonly #parts: WatchParts
  readonly #terminal: Terminal
  #mode: Mode = { kind: 'watching' }
  /** Lines that came while a passphrase was typed. */
  #held: string[] = []
  /** Answered here, but more people are needed: not shown again. */
  readonly #passed = new Set<string>()
  /** Answered here at this moment: the fact about it is no news. */
  #answering: string | null = null
  #stoppedAt = -Infinity
  #turn: Promise<void> = Promise.resolve()
  #expiry: NodeJS.Timeout | null = null

  constructor(parts: WatchParts, terminal: Terminal) {
    this.#parts = parts
    this.#terminal = terminal
  }

  start(): void {
    void this.#inTurn(() => this.#showNext())
  }

  end(): void {
    this.#forget()
    if (this.#isSecret()) this.#say('')
  }

  #forget(): void {
    if (this.#expiry !== null) clearTimeout(this.#expiry)
    this.#expiry = null
  }

  /** One after the other: a key is not looked at before the one before it has done its work. Ctrl-C does not wait. */
  keys(text: string): Promise<void> {
    if (text.includes(controlC)) {
      this.#parts.quit()
      return Promise.resolve()
    }
    return this.#inTurn(() => this.#keys(text))
  }

  told(fact: Fact): void {
    const lines = factLines(fact, this.#terminal)
    if (!this.#isSecret()) for (const line of lines) this.#say(line)
    else this.#held.push(...lines.slice(0, mostHeld - this.#held.length))
    if (fact.kind === 'ask') void this.#inTurn(() => this.#another(fact.ask))
    if (fact.kind === 'answered' && this.#answering !== fact.ask.id)
      void this.#inTurn(() => this.#over(fact.ask))
  }

  /** The chain never breaks; whoever waits for a part of it hears of its problem. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    const mine = this.#turn.then(work)
    this.#turn = mine.catch(() => undefined)
    return mine.catch((problem: unknown) =>
      this.#say(`warning: ${visible(problem instanceof Error ? problem.message : 'a fault')}`),
    )
  }

  #say(text: string): void {
    this.#terminal.err(`${text}\n`)
  }

  async #keys(text: string): Promise<void> {
    if (text === escapeKey && this.#mode.kind === 'passphrase') return this.#back(this.#mode.ask)
    if (text === escapeKey && this.#mode.kind === 'setting') return this.#unset('not changed')
    for (const key of text.replace(sequences, '')) await this.#key(key)
  }

  #key(key: string): Promise<void> {
    switch (this.#mode.kind) {
      case 'passphrase':
        return this.#typed(key, this.#mode)
      case 'setting':
        return this.#set(key, this.#mode)
      case 'watching':
      case 'asking':
        return this.#pressed(key.toLowerCase())
    }
  }

  /** Nothing that is typed now may be shown or taken for an answer. */
  #isSecret(): boolean {
    return this.#mode.kind === 'passphrase' || this.#mode.kind === 'setting'
  }

  async #set(key: string, at: Extract<Mode, { kind: 'setting' }>): Promise<void> {
    if (key !== '\r' && key !== '\n') {
      this.#mode = { ...at, typed: edited(at.typed, key) }
      return
    }
    if (at.typed === '') return this.#unset('not changed')
    if (at.first === null) {
      this.#mode = { kind: 'setting', typed: '', first: at.typed }
      return this.#terminal.err('\n  once more: ')
    }
    if (at.first !== at.typed) return this.#unset('not changed: the two are not the same')
    const problem = await this.#parts.setPassphrase(at.typed)
    return this.#unset(
      problem === null ? 'set: it proves you when a call needs it' : `not changed: ${problem}`,
    )
  }

  #unset(words: string): Promise<void> {
    this.#leave()
    this.#say(`  passphrase ${words}`)
    return this.#showNext()
  }

  async #pressed(key: string): Promise<void> {
    if (key === 's') return this.#stop()
    if (key === 'p') {
      this.#mode = { kind: 'setting', typed: '', first: null }
      return this.#terminal.err('  new passphrase (Enter alone: back): ')
    }
    const { clock, atTerminal } = this.#parts
    if (this.#mode.kind !== 'asking' || clock.now() - this.#mode.shownAt < settleMs) return
    const { ask } = this.#mode
    if (key === 'n') return this.#give(ask, 'refuse', atTerminal())
    if (key !== 'y') return
    switch (ask.requirement.proof) {
      case 'terminal':
        return this.#give(ask, 'approve', atTerminal())
      case 'passphrase':
        this.#mode = { kind: 'passphrase', ask, typed: '' }
        return this.#terminal.err('  this one needs your passphrase (Enter alone: back): ')
      case 'passkey':
        return this.#say('  this one needs a passkey, which cannot be given here; n refuses it')
    }
  }

  async #typed(key: string, at: Extract<Mode, { kind: 'passphrase' }>): Promise<void> {
    if (key !== '\r' && key !== '\n') {
      this.#mode = { ...at, typed: edited(at.typed, key) }
      return
    }
    if (at.typed === '' || !(await this.#isPending(at.ask))) return this.#back(at.ask)
    const presence = await this.#parts.withPassphrase(at.typed)
    if (typeof presence === 'string') {
      this.#mode = { ...at, typed: '' }
      return this.#terminal.err(`\n  ${presence}; once more (Enter alone: back): `)
    }
    this.#leave()
    return this.#give(at.ask, 'approve', presence)
  }

  /** Out of the passphrase: what waited is shown. */
  #leave(): void {
    this.#say('')
    this.#mode = { kind: 'watching' }
    for (const line of this.#held.splice(0)) this.#say(line)
  }

  async #back(ask: Ask): Promise<void> {
    this.#leave()
    if (!(await this.#isPending(ask))) {
      this.#say(`  that one is over (${ask.id})`)
      return this.#showNext()
    }
    this.#say(`  ${keysLine(this.#terminal)}`)
    this.#mode = { kind: 'asking', ask, shownAt: this.#parts.clock.now() }
  }

  async #isPending(ask: Ask): Promise<boolean> {
    return (await this.#parts.approvals.pending()).some(({ id }) => id === ask.id)
  }

  async #give(ask: Ask, answer: Answering['answer'], presence: Presence): Promise<void> {
    this.#answering = ask.id
    const reason = 'answered in the serving terminal'
    const { actor: by, proof } = presence
    const given = await this.#parts.approvals
      .answer(ask.id, { answer, reason, by, proof })
      .finally(() => (this.#answering = null))
    this.#say(given.ok ? answered(this.#terminal, given.ask) : notTaken(given.problem))
    if (given.ok ? given.ask.state === 'pending' : given.problem === 'already-answered') this.#pass(ask)
    // Not independent: this person cannot approve it, but can still refuse.
    if (!given.ok && given.problem === 'not-independent') {
      this.#mode = { kind: 'asking', ask, shownAt: this.#parts.clock.now() }
      return
    }
    this.#mode = { kind: 'watching' }
    await this.#showNext()
  }

  #pass({ id }: Ask): void {
    if (this.#passed.size >= 1000) this.#passed.clear()
    this.#passed.add(id)
  }

  async #stop(): Promise<void> {
    const now = this.#parts.clock.now()
    if (now - this.#stoppedAt < stopMs) return
    const state = await this.#parts.toggleStop()
    this.#stoppedAt = state === 'stopped' ? now : -Infinity
    this.#say(
      state === 'stopped'
        ? red(this.#terminal, '■ everything is stopped: every call is refused. Press s again to go on.')
        : green(this.#terminal, '▶ running again'),
    )
  }

  async #another(ask: Ask): Promise<void> {
    if (this.#mode.kind === 'watching') return this.#showNext()
    if (this.#mode.kind === 'asking' && this.#mode.ask.id !== ask.id)
      this.#say(
        dim(this.#terminal, `  ${visible(ask.agent)} asks for ${visible(ask.tool)}, too; it comes next`),
      )
  }

  /** Answered elsewhere, or past its end. */
  async #over(ask: Ask): Promise<void> {
    this.#passed.delete(ask.id)
    if (this.#mode.kind !== 'asking' || this.#mode.ask.id !== ask.id) return
    if (ask.state === 'pending' && this.#parts.clock.now() < ask.expiresAt) return
    const how = ask.state === 'pending' ? 'nobody answered in time' : `${ask.state} elsewhere`
    this.#say(`  ${how} (${ask.id})`)
    this.#mode = { kind: 'watching' }
    await this.#showNext()
  }

  async #showNext(): Promise<void> {
    if (this.#mode.kind !== 'watching') return
    const pending = await this.#parts.approvals.pending()
    const ask = pending.find(({ id }) => !this.#passed.has(id))
    if (ask === undefined) return
    const { clock } = this.#parts
    const shown = showAsk(ask, await this.#parts.known(ask), clock.now())
    this.#say(`\n${bold(this.#terminal, yellow(this.#terminal, '● a call asks for you'))}`)
    for (const line of shown.lines) this.#say(`  ${line}`)
    this.#say(`  ${keysLine(this.#terminal)}`)
    this.#mode = { kind: 'asking', ask, shownAt: clock.now() }
    this.#forget()
    const left = Math.min(Math.max(0, ask.expiresAt - clock.now()), 2 ** 31 - 1)
    this.#expiry = setTimeout(() => void this.#inTurn(() => this.#over(ask)), left + 50)
    this.#expiry.unref()
  }
}

const keysLine = (terminal: Terminal): string =>
  `${bold(terminal, 'y')} approve once   ${bold(terminal, 'n')} refuse   ${bold(terminal, 's')} stop everything`

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

function notTaken(problem: AnswerProblem): string {
  switch (problem) {
    case 'unknown':
    case 'not-pending':
    case 'already-answered':
      return '  not taken: it was answered already'
    case 'expired':
      return '  not taken: it has expired; the agent has to call again'
    case 'not-independent':
      return '  not taken: policy wants another person than the one it is done for. n refuses it'
    case 'proof-too-weak':
      return '  not taken: policy wants a stronger proof of who answers'
  }
}

function markOf(fact: Extract<Fact, { readonly kind: 'call' }>, terminal: Pick<Terminal, 'colour'>): string {
  if (fact.end === 'approval-required') return yellow(terminal, '?')
  if (fact.refused) return red(terminal, '✗')
  return fact.end === 'ok' ? green(terminal, '✓') : yellow(terminal, '!')
}

/** One line a fact; names from agents and servers are made visible. */
export function factLines(fact: Fact, terminal: Pick<Terminal, 'colour'>): readonly string[] {
  const time = dim(terminal, new Date(fact.at).toISOString().slice(11, 19))
  switch (fact.kind) {
    case 'call': {
      const mark = markOf(fact, terminal)
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

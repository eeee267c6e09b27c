import { notSent, withinOr, type Channel, type Headers, type NotSent } from './channel.ts'
import { askToDiscover, discover, initialize, verdictOn, type Introduction, type Session } from './era.ts'
import type { Era } from '../registry/tool.ts'
import type { HttpChannel } from './http.ts'

export type Introduced<C extends Channel> = { readonly channel: C; readonly session: Session }

/** `silenceMs`: how long a server may be silent at `server/discover` before it is asked the legacy way as well. */
export type StdioIntroduction = Introduction & { readonly silenceMs: number }

/**
 * Finds out which era a process speaks, and speaks it. Most servers of today know neither `server/discover` nor what
 * to do before `initialize`: they answer with an error (the handshake then goes on in the same process), are silent
 * (slow to start or deaf: both questions then stand, and the first answer counts), or end (they get a new process).
 */
export async function introduceStdio<C extends Channel>(
  start: () => C,
  known: Era | null,
  introduction: StdioIntroduction,
): Promise<Introduced<C> | NotSent> {
  if (known !== null) return introduceAs(known, start(), introduction)
  const channel = start()
  const { shown } = introduction
  const asked = askToDiscover(channel, shown, {})
  const early = await withinOr(asked, introduction, after(introduction.silenceMs))
  const verdict = early === null ? null : verdictOn(early, shown)
  if (verdict?.kind === 'modern') return { channel, session: verdict.session }
  if (channel.alive()) {
    const handshake = initialize(channel, introduction)
    const answered = asked.reply.then((reply) => verdictOn(reply, shown))
    const late = await Promise.race([answered, handshake.then(() => null)])
    // A process that has heard both questions may believe itself in either era.
    if (early === null && late?.kind === 'modern') return afresh('modern', channel, start, introduction)
    const session = await handshake
    if (!('kind' in session)) return ready(channel, session)
  }
  return afresh('legacy', channel, start, introduction)
}

async function afresh<C extends Channel>(
  era: Era,
  old: C,
  start: () => C,
  introduction: Introduction,
): Promise<Introduced<C> | NotSent> {
  await old.close()
  if (introduction.signal?.aborted === true) return notSent('cancelled', 'cancelled before it was sent')
  return introduceAs(era, start(), introduction)
}

async function introduceAs<C extends Channel>(
  era: Era,
  channel: C,
  introduction: Introduction,
): Promise<Introduced<C> | NotSent> {
  const session = await sessionAs(era, channel, introduction)
  if (!('kind' in session)) return era === 'legacy' ? ready(channel, session) : { channel, session }
  await channel.close()
  return session
}

async function sessionAs(era: Era, channel: Channel, introduction: Introduction): Promise<Session | NotSent> {
  if (era === 'legacy') return initialize(channel, introduction)
  const verdict = await discover(channel, introduction)
  if (verdict.kind === 'modern') return verdict.session
  return verdict.kind === 'legacy'
    ? notSent('unreachable', 'the server no longer speaks the revision that it spoke')
    : verdict
}

async function ready<C extends Channel>(
  channel: C,
  session: Session,
  headers: Headers = {},
): Promise<Introduced<C>> {
  await channel.tell('notifications/initialized', {}, headers)
  return { channel, session }
}

/** The same over HTTP, where a question leaves nothing behind. */
export async function introduceHttp(
  channel: HttpChannel,
  known: Era | null,
  introduction: Introduction,
): Promise<Introduced<HttpChannel> | NotSent> {
  if (known !== 'legacy') {
    channel.speak('modern', null)
    const verdict = await discover(channel, introduction)
    if (verdict.kind === 'modern') return { channel, session: verdict.session }
    if (verdict.kind === 'not-sent') return verdict
  }
  channel.speak('legacy', null)
  const session = await initialize(channel, introduction)
  if ('kind' in session) return session
  channel.speak('legacy', session.protocolVersion)
  return ready(channel, session, introduction.headers)
}

const after = (ms: number): Promise<null> => new Promise((resolve) => setTimeout(resolve, ms, null).unref())

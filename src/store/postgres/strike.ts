import { DatabaseError } from 'pg'
import { aiming, tellStruck } from '../fault.ts'
import type { StoreFault, StoreFaults } from '../fault.ts'
import type { Job } from '../jobs.ts'
import type { Work } from './batch.ts'
import { SessionLost } from './errors.ts'
import type { Session } from './session.ts'

/** Gives each batch its faults: none, but in tests. A batch that is run again is not struck again. */
export function strikes(faults: StoreFaults | null): (batch: readonly Job[]) => Work['faults'] {
  if (faults === null) return () => none
  const strikesIn = aiming(faults)
  return (batch) => {
    let coming = strikesIn(batch)
    if (coming.length === 0) return none
    return async (at, session) => {
      const now = coming.find((one) => one.at === at)
      coming = coming.filter((one) => one !== now)
      if (now !== undefined) await strike(now, session)
    }
  }
}

const none = async (): Promise<void> => undefined

/** `die`: the connection is cut at this moment. After COMMIT was sent no error of the server's can be told from that. */
async function strike(fault: StoreFault, session: Session): Promise<void> {
  // What is sent in one turn leaves at its end.
  if (fault.at === 'commit') await new Promise(setImmediate)
  const { how, at, trigger } = fault
  tellStruck(fault)
  switch (how) {
    case 'kill':
      process.kill(process.pid, 'SIGKILL')
      return hang(session)
    case 'hang':
      return hang(session)
    case 'hold':
      // Until whoever armed it lets go.
      return void (trigger && (await Atomics.waitAsync(trigger, 0, -1).value))
    case 'die':
      return cut(session, at)
    case 'io-error':
      if (at === 'before-commit') throw serverError('58030', 'could not write: input/output error')
      return cut(session, at)
    case 'full':
      if (at === 'before-commit') throw serverError('53100', 'could not write: no space left on device')
      return cut(session, at)
  }
}

/** Between COMMIT and its answer nobody but the connection itself says so. */
function cut(session: Session, at: StoreFault['at']): void {
  session.destroy('a test has cut it')
  if (at !== 'commit') throw new SessionLost('a test has cut it')
}

const hang = (session: Session): Promise<never> =>
  new Promise((_, reject) => session.onLost(() => reject(new SessionLost('it was given up'))))

const serverError = (code: string, message: string): DatabaseError =>
  Object.assign(new DatabaseError(message, 0, 'error'), { code })

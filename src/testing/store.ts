import { describe } from 'node:test'
import { approvalsContract } from './store/approvals.ts'
import { callsContract } from './store/calls.ts'
import { countsContract } from './store/counts.ts'
import { flowContract } from './store/flow.ts'
import type { OpenStore } from './store/fixture.ts'
import { interleavingsContract } from './store/interleavings.ts'
import { logContract } from './store/log.ts'
import { restContract } from './store/rest.ts'
import { tasksContract } from './store/tasks.ts'

/**
 * What every engine of `Store` MUST do, as tests (node:test). Call it in a test file of the engine; `open` gives an
 * engine on empty data of its own. The suite says nothing of how data is kept: crashes, locks and full disks are for the
 * engine's own tests.
 */
export function storeContract(name: string, open: OpenStore): void {
  describe(`the contract of a store: ${name}`, () => {
    callsContract(open)
    tasksContract(open)
    approvalsContract(open)
    logContract(open)
    restContract(open)
    flowContract(open)
    countsContract(open)
    interleavingsContract(open)
  })
}

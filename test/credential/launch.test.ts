import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { test } from 'node:test'
import { launchable } from '../../src/credential/launch.ts'

const launcher = fileURLToPath(new URL('../../src/credential/launch.ts', import.meta.url))

test('an argument gets the variable that was lent for it, and the program does not get the variable', () => {
  const { args, environment } = launchable(['--token=${COUNTERSIGN_ARG_1}', '${HOME}'], {
    COUNTERSIGN_ARG_1: 'v',
    HOME: '/h',
  })
  assert.deepEqual(args, ['--token=v', '${HOME}'])
  assert.deepEqual(environment, { HOME: '/h' })
})

test('an argument whose variable was not lent starts nothing', () => {
  assert.throws(
    () => launchable(['${COUNTERSIGN_ARG_2}'], { COUNTERSIGN_ARG_1: 'v' }),
    /`COUNTERSIGN_ARG_2` to be lent/,
  )
})

test('the program is started with its arguments, its input and its exit code', () => {
  const script =
    'process.stdin.on("data", (d) => process.stdout.write(process.argv[1] + d)).on("end", () => process.exit(7))'
  const run = spawnSync(
    process.execPath,
    [launcher, process.execPath, '-e', script, 'a ${COUNTERSIGN_ARG_1}; exit'],
    {
      input: '!',
      encoding: 'utf8',
      env: { COUNTERSIGN_ARG_1: '$(x)' },
    },
  )
  assert.deepEqual([run.stdout, run.status, run.stderr], ['a $(x); exit!', 7, ''])
})

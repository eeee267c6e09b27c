import { spawn } from 'node:child_process'
import { pathToFileURL } from 'node:url'

/**
 * For programs that take a secret only as an argument. The configuration holds `${COUNTERSIGN_ARG_1}`, the process is
 * lent the variable of that name, and this launcher puts one into the other: no secret lies in a configuration, and
 * the program itself does not get the variable. Arguments of a process can be seen by others on the same machine, as
 * they could before; a variable or a header is better where the program takes one.
 */
const reference = /\$\{(COUNTERSIGN_ARG_[1-9][0-9]?)\}/g

/** Pure. Throws when a variable that an argument names was not lent. */
export function launchable(
  args: readonly string[],
  environment: { readonly [name: string]: string | undefined },
): { readonly args: readonly string[]; readonly environment: { readonly [name: string]: string } } {
  const filled = args.map((arg) =>
    arg.replace(reference, (_all, name: string) => {
      const value = environment[name]
      if (value === undefined) throw new Error(`expected the variable \`${name}\` to be lent; set its secret`)
      return value
    }),
  )
  const kept = Object.entries(environment).flatMap(([name, value]) =>
    value === undefined || name.startsWith('COUNTERSIGN_ARG_') ? [] : [[name, value] as const],
  )
  return { args: filled, environment: Object.fromEntries(kept) }
}

function launch(argv: readonly string[]): void {
  const [command, ...rest] = argv
  if (command === undefined) {
    process.stderr.write('error: expected a command to launch\n')
    process.exitCode = 64
    return
  }
  const { args, environment } = launchable(rest, process.env)
  const child = spawn(command, args, { stdio: 'inherit', env: environment, windowsHide: true })
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal))
  child.on('error', (error) => {
    process.stderr.write(
      `error: \`${command}\` could not be started (${'code' in error ? String(error.code) : 'unknown'})\n`,
    )
    process.exitCode = 127
  })
  child.on('exit', (code) => {
    process.exitCode = code ?? 1
    process.stdin.destroy()
  })
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href)
  launch(process.argv.slice(2))

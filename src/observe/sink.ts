/** Somewhere to write to that never waits for its reader. `unread`: bytes that nobody has taken yet. */
export type Unwaiting = {
  readonly write: (text: string) => unknown
  readonly unread: (() => number) | undefined
}

/** Lines that wait for a reader. Beyond it the newest are lost. */
const mostBytes = 1024 * 1024

/**
 * Writes lines as long as somebody reads them; false: this one is lost. Node keeps what a pipe does not take, without
 * end: a collector of logs that stands still would take the broker's memory, one line after the other.
 */
export const linesTo =
  ({ write, unread = () => 0 }: Unwaiting): ((line: string) => boolean) =>
  (line) => {
    if (unread() > mostBytes) return false
    write(line)
    return true
  }

/** What the files of the suite's requirement sets list. */
export type Requirements = {
  readonly server: readonly string[]
  readonly client: readonly string[]
  /** Run and reported, but no part of the verdict; with the reason that the set gives. */
  readonly unscored: readonly { readonly scenario: string; readonly leg: string; readonly reason: string }[]
}

/** Reads the lists of one file: YAML of exactly this shape, and nothing else of that language. */
export function parse(text: string): Requirements {
  const lists: { [name: string]: string[] } = {}
  const unscored: { scenario: string; leg: string; reason: string }[] = []
  let list = ''
  for (const line of text.split('\n')) {
    const heading = /^(\w+):\s*$/.exec(line)?.[1]
    if (heading !== undefined) list = heading
    const item = /^ {2}- (\S+)\s*$/.exec(line)?.[1]
    if (item !== undefined) (lists[list] ??= []).push(item)
    const scenario = /^ {2}- scenario: (\S+)\s*$/.exec(line)?.[1]
    if (scenario !== undefined) unscored.push({ scenario, leg: '', reason: '' })
    const last = unscored.at(-1)
    const [, key, value = ''] = /^ {4}(leg|reason): (\S+)\s*$/.exec(line) ?? []
    if (last !== undefined && key === 'leg') last.leg = value
    if (last !== undefined && key === 'reason') last.reason = value
  }
  const { server = [], client = [] } = lists
  if (server.length === 0 || client.length === 0)
    throw new Error('expected a requirement set with server and client scenarios; has the suite changed?')
  return { server, client, unscored }
}

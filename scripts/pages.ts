import { readFileSync, writeFileSync } from 'node:fs'

/** A page of the reference that is made from the sources. */
export type Page = {
  readonly name: string
  readonly from: string
  readonly render: () => string | Promise<string>
}

const fileOf = ({ name }: Page): URL => new URL(`../docs/reference/${name}`, import.meta.url)

export const pageText = (page: Page): string => readFileSync(fileOf(page), 'utf8')

/** Writes the page; with `--check`, says whether it is up to date. */
export async function makePage(page: Page): Promise<void> {
  const text = await page.render()
  if (!process.argv.includes('--check')) return writeFileSync(fileOf(page), text)
  if (pageText(page) === text) return
  console.error(`error: docs/reference/${page.name} is not what the sources say\nhint: node ${page.from}`)
  process.exitCode = 1
}

/** Cells of a Markdown table: `|` would end one. */
export const tableOf = (header: readonly string[], rows: readonly (readonly string[])[]): string =>
  [header, header.map(() => '---'), ...rows]
    .map((row) => `| ${row.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`)
    .join('\n')

export const coded = (text: string): string => `\`${text}\``

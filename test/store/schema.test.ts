import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { render, tables } from '../../scripts/schema-page.ts'
import { migrations } from '../../src/store/migrations.ts'
import { checksum } from '../../src/store/migrate.ts'

describe('the schema', () => {
  it('its page is what the migrations say (node scripts/schema-page.ts)', () => {
    assert.equal(readFileSync(new URL('../../docs/reference/schema.md', import.meta.url), 'utf8'), render())
  })

  it('every table has a line in the page', () => {
    const made = migrations
      .flatMap(({ sql }) => sql)
      .flatMap((sql) => /^create table (\w+)/.exec(sql)?.[1] ?? [])
    assert.deepEqual(Object.keys(tables).sort(), made.sort())
  })

  it('versions go forward one by one, and a released one is never edited', () => {
    assert.deepEqual(
      migrations.map(({ version }) => version),
      migrations.map((_, n) => n + 1),
    )
    const released: readonly string[] = ['a45129c41cd6fa0b2bf12a7f300e6e1beff677f8d3a13eb3a77593625f2040d4']
    for (const [n, sum] of released.entries()) assert.equal(migrations[n] && checksum(migrations[n]), sum)
  })

  it('says nothing that one engine alone understands', () => {
    for (const sql of migrations.flatMap((migration) => migration.sql))
      assert.doesNotMatch(
        sql,
        /\b(autoincrement|rowid|integer|bigint|blob|bytea|serial|jsonb?|datetime|pragma)\b/i,
      )
  })
})

import { playTable } from './table.ts'
import { sqliteEngine } from './engines.ts'

playTable(sqliteEngine)

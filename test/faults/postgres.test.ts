import { playTable } from './table.ts'
import { postgresEngine } from './engines.ts'

playTable(postgresEngine)

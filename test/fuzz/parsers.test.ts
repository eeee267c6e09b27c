import { parsers, shares } from './bounded.ts'

shares('what reads texts and values holds whatever it is given', parsers)

import { offerEcho } from './echo.ts'
import { serveStdio } from '@modelcontextprotocol/server/stdio'

/** By stdio: the credential is in the environment. */
serveStdio(() =>
  offerEcho(() => process.env['ECHO_TOKEN'] ?? 'none', {
    noisy: true,
    telling: process.env['TELLING'] === 'yes',
  }),
)

// HEALTHCHECK: whether the agents' listener answers that the process lives. The image has no other program to ask with.
const port = process.env.COUNTERSIGN_AGENTS_PORT ?? '7316'
const answer = await fetch(`http://127.0.0.1:${port}/healthz`, {
  redirect: 'error',
  signal: AbortSignal.timeout(2500),
}).catch(() => null)
process.exitCode = answer?.ok === true ? 0 : 1

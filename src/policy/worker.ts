import { parentPort, workerData } from 'node:worker_threads'
import { checkPolicies } from './check.ts'
import type { CheckRequest } from './load.ts'

/** The checking thread: one request, one answer, then it ends. A policy that breaks the engine breaks it here only. */
const request: CheckRequest = workerData
parentPort?.postMessage(checkPolicies(request.sources, request.tools, request.servers))

/** What a function of ours, with the parts of Node and the engine that it calls, belongs to. First match counts. */
const areas: readonly (readonly [area: string, files: RegExp])[] = [
  ['decision: Cedar in WebAssembly', /^wasm:|src\/policy\/|cedar/],
  ['store: reads, messages to the writer', /src\/store\//],
  ['ids, salts, digests, tokens', /src\/lib\/(id|random)|src\/audit\/(record|commit|hash)|src\/identity\//],
  [
    'JSON: strict reading, canonical writing',
    /src\/lib\/(ijson|jcs|json)|src\/audit\/schema|src\/server\/rpc/,
  ],
  ['labels and redaction', /src\/flow\//],
  ['HTTP: ours', /src\/door\/(exchange|listener|unread|crowd|shares)|src\/server\/|src\/lib\/gather/],
  ['metrics, traces, log lines', /src\/observe\//],
  ['publishing the log', /src\/audit\//],
  ['garbage collection', /^\(garbage collector\)$/],
  ['the path and its door', /src\/(call|door|task|registry|revocation|approval|credential|compose|lib)\//],
]

/** Everything else is Node's own: sockets, HTTP parsing, timers, promises, and the engine itself. */
export const areaOf = (where: string): string =>
  areas.find(([, files]) => files.test(where))?.[0] ?? 'Node itself: sockets, HTTP, timers'

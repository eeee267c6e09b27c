/** What the harness plays under: reading and noting run, writing asks one person, wiping is denied. */
export const policy = `
@id("kill/registered") @reason("it is registered")
permit (principal, action, resource);

@id("kill/writes") @reason("a person has to look at it")
forbid (principal, action in Action::"effect:write", resource) unless { context has approval };

@id("kill/wipes") @reason("nothing is wiped")
forbid (principal, action in Action::"effect:delete", resource);
`

/** What a reviewer found each tool to do. */
export const effectsOf = { read: 'read', note: 'execute', write: 'write', wipe: 'delete' } as const

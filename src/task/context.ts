type Context = { readonly [name: string]: string }

/**
 * The names whose value is not what the task was opened under, sorted; empty while nothing changed. Pure. What a task
 * was not bound to cannot end it; what it was bound to and is gone does.
 */
export const changes = (bound: Context, current: Context): readonly string[] =>
  Object.keys(bound)
    .filter((name) => !Object.hasOwn(current, name) || current[name] !== bound[name])
    .sort()

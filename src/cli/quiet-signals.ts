/**
 * Imported first, before anything else is evaluated: no signal opens anything. On SIGUSR1 Node would open its inspector
 * at 127.0.0.1:9229, where a guest that reaches the host's loopback could take the process over; SIGUSR2 would end it
 * and leave its sockets behind. Both do nothing, unless a command gives them a meaning beside.
 *
 * A signal that came before this line, since Node started, has opened the inspector or is about to: it is closed again,
 * long before there is a guest. Who wants one says so with --inspect.
 */
for (const signal of ['SIGUSR1', 'SIGUSR2'] as const) process.on(signal, () => {});

/** Undefined in a Node that was built without it. */
const inspector = await import('node:inspector').catch(() => undefined);
const isAsked = [...process.execArgv, process.env.NODE_OPTIONS ?? ''].some((flag) => /--inspect\b/.test(flag));

if (!isAsked) {
  closeInspector();
  // What the signal's thread asked of this one is done within one pass of the loop.
  setImmediate(() => setImmediate(closeInspector));
}

function closeInspector(): void {
  if (inspector?.url() !== undefined) inspector.close();
}

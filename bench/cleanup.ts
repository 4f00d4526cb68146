/** What the benchmark changed and must put back, newest first: on the way out by any path, Ctrl-C included. */
const pending: (() => void)[] = [];

/**
 * Remembers how to undo something; the returned function undoes it now, once. The undo is synchronous and may not
 * throw.
 */
export function undoLater(undo: () => void): () => void {
  pending.push(undo);
  return () => {
    const at = pending.indexOf(undo);
    if (at < 0) return;
    pending.splice(at, 1);
    undo();
  };
}

/** Undoes all that is left; installed for every way the process can end except SIGKILL. */
export function cleanUpOnExit(): void {
  process.on('exit', () => {
    for (let undo = pending.pop(); undo !== undefined; undo = pending.pop()) undo();
  });
  process.on('SIGINT', () => process.exit(130));
  process.on('SIGTERM', () => process.exit(143));
}

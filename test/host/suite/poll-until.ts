/** Far beyond what a loaded machine needs: it decides only how long a failure takes. */
const LIMIT_MS = 10_000;

/** Polls until `condition` holds; throws with `what` after 10 s. */
export async function pollUntil(poll: () => Promise<void>, condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + LIMIT_MS;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`Waited ${LIMIT_MS / 1000} s in vain for ${what}`);
    await poll();
  }
}

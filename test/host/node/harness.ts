import { setImmediate } from 'node:timers/promises';
import { NodeHost } from '../../../src/host/node/node-host.ts';
import { listenPipes } from '../../../src/host/node/pipe-endpoints.ts';
import { PlainArena } from '../../support/plain-arena.ts';
import type { Harness, HarnessOptions } from '../suite/harness.ts';
import { pollUntil } from '../suite/poll-until.ts';

/** The portable engine on Node's own loop: nothing to drive, a poll is one round of it. */
export function createNodeHarness(options: HarnessOptions): Harness {
  const arena = new PlainArena(8 << 20);
  const wake = (): void => {};
  const poll = async (): Promise<void> => {
    await setImmediate();
  };
  return {
    host: new NodeHost({ arena, wake, services: options.services }),
    arena,
    poll,
    until: (condition, what) => pollUntil(poll, condition, what),
    listenPipes: (path, accept) => listenPipes({ path }, { arena, wake, accept }),
    close: async () => {},
  };
}

/** Runs under a low RLIMIT_NOFILE, uses up all descriptors, and prints how a forward's listener takes it. */
import { closeSync, openSync } from 'node:fs';
import { LOOPBACK4 } from '../../../src/env/host.ts';
import * as libc from '../../../src/host/epoll/libc.ts';
import { createEpollHarness } from './harness.ts';
import { StreamRecorder } from './peer.ts';

export interface ListenerLimitFindings {
  readonly accepted: number;
  /** How often accept() failed. */
  readonly failures: number;
}

const harness = createEpollHarness();
const { host, memory, counters } = harness;
const wanted = [0, 1, 2].map((index) => ({ address: LOOPBACK4, index }));
const { sockets, places } = await harness.bind('tcp', wanted);
let accepted = 0;
const listener = host.listenStreams(sockets, {
  accepted: () => {
    accepted++;
    return new StreamRecorder();
  },
});
if (typeof listener === 'string') throw new Error(listener);
const refused = listener.resume();
if (refused !== undefined) throw new Error(refused);

const clients = places.map(({ port }) => {
  const fd = libc.socket(libc.AF_INET, libc.SOCK_STREAM | libc.SOCK_FLAGS, 0);
  libc.connect(fd, memory.base + memory.name, memory.writeAddress(memory.name, LOOPBACK4, port));
  return fd;
});
const fillers: number[] = [];
try {
  for (;;) fillers.push(openSync('/dev/null', 'r'));
} catch {
  // All are used up.
}
await harness.until(() => counters.get('forward-accept-failed') >= 2, 'accept to fail twice');
const failures = counters.get('forward-accept-failed');
for (const filler of fillers) closeSync(filler);
await harness.until(() => accepted === clients.length, 'the clients to be accepted');
const findings: ListenerLimitFindings = { accepted, failures };
console.log(JSON.stringify(findings));
await harness.close();
for (const fd of clients) libc.close(fd);

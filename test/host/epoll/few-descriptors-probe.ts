/** Runs under a low RLIMIT_NOFILE, uses up all descriptors, and prints how the epoll engine takes it. */
import { closeSync, openSync } from 'node:fs';
import { LOOPBACK4 } from '../../../src/env/host.ts';
import { boundPort, openListeningSocket } from '../../../src/host/epoll/attachment-listener.ts';
import * as libc from '../../../src/host/epoll/libc.ts';
import { createEpollHarness } from './harness.ts';
import { StreamRecorder } from './peer.ts';

export interface LimitFindings {
  readonly dial: unknown;
  readonly datagram: unknown;
  readonly echo: unknown;
  /** What each kind of socket says when another one has just been closed, within the same turn. */
  readonly afterOneClosed: unknown;
  readonly guests: number;
  /** How often accept() failed. */
  readonly failures: number;
}

const harness = createEpollHarness();
const { host, memory, counters } = harness;
const fd = openListeningSocket(memory, { kind: 'tcp', address: LOOPBACK4, port: 0 });
if (typeof fd === 'string') throw new Error(fd);
let guests = 0;
host.listen(fd, () => {
  guests++;
  return { readable: () => {}, writable: () => {} };
});

const guest = libc.socket(libc.AF_INET, libc.SOCK_STREAM | libc.SOCK_FLAGS, 0);
const length = memory.writeAddress(memory.name, LOOPBACK4, boundPort(memory, fd));
libc.connect(guest, memory.base + memory.name, length);

const fillers: number[] = [];
try {
  for (;;) fillers.push(openSync('/dev/null', 'r'));
} catch {
  // All are used up.
}
await harness.until(() => counters.get('attachment-accept-failed') >= 2, 'accept to fail twice');
const datagramHandler = { readable: (): void => {}, failed: (): void => {} };
const dial = host.dial(LOOPBACK4, 9, 0, new StreamRecorder());
const datagram = host.openDatagram(datagramHandler);
const echo = host.capabilities.ping ? host.openEcho(datagramHandler) : 'EMFILE';
const recordOf = (opened: unknown): unknown => (typeof opened === 'string' ? opened : 'opened');
closeSync(fillers.pop() as number);
const kept = host.openDatagram(datagramHandler);
if (typeof kept === 'string') throw new Error(kept);
kept.close();
const dialled = host.dial(LOOPBACK4, 9, 0, new StreamRecorder());
if (typeof dialled !== 'string') dialled.abort();
const asked = host.capabilities.ping ? host.openEcho(datagramHandler) : kept;
if (typeof asked !== 'string') asked.close();
const again = host.openDatagram(datagramHandler);
const afterOneClosed = [dialled, asked, again].map(recordOf);
const failures = counters.get('attachment-accept-failed');
for (const filler of fillers) closeSync(filler);
await harness.until(() => guests === 1, 'the guest to be accepted');
const findings: LimitFindings = { dial, datagram, echo, afterOneClosed, guests, failures };
console.log(JSON.stringify(findings));
await harness.close();
libc.close(guest);

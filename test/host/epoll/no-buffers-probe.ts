/**
 * Run under strace, which makes the first sends to the guest fail with ENOBUFS: does the frame get there, and how often
 * was it tried?
 */
import { join } from 'node:path';
import type { HostPipe } from '../../../src/env/host.ts';
import { openListeningSocket } from '../../../src/host/epoll/attachment-listener.ts';
import * as libc from '../../../src/host/epoll/libc.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { UnixDatagram } from '../../support/unix-datagram.ts';
import { createEpollHarness } from './harness.ts';

const harness = createEpollHarness();
const folder = temporaryFolder('test');
const path = join(folder, 'vm.sock');
const fd = openListeningSocket(harness.memory, { kind: 'unix', path }, libc.SOCK_DGRAM);
if (typeof fd === 'string') throw new Error(fd);
const at = harness.arena.allocate(100);
harness.arena.bytes.fill(9, at, at + 60);
let pipe: HostPipe | undefined;
let sent = false;
const send = (): void => {
  sent ||= pipe?.write(at, 60) === 60;
};
harness.host.serveGuestDatagrams(fd, (guest) => {
  pipe = guest;
  return { readable: () => {}, writable: send };
});
const guest = new UnixDatagram(join(folder, 'qemu'));
guest.send(new Uint8Array(60), path);
await harness.until(() => pipe !== undefined, 'the guest');
send();
await harness.until(() => sent, 'the frame');
const received = Array.from(guest.receive() ?? []);
const backoffs = harness.counters.get('datagram-send-backoff');
console.log(
  JSON.stringify({ backoffs, received: [`${received.length} bytes of ${received[0]}`], error: pipe?.error ?? '' }),
);
await harness.close();
process.exit(0);

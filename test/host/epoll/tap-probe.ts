/** Runs in a network namespace of its own and prints what a tap device said to the epoll engine's tap. */
import { execFileSync } from 'node:child_process';
import { openSync } from 'node:fs';
import * as libc from '../../../src/host/epoll/libc.ts';
import type { EpollPipe } from '../../../src/host/epoll/pipe.ts';
import { createEpollHarness } from './harness.ts';

export interface TapFindings {
  readonly whileDown: { written: number; error: string | null; refusedDown: number };
  readonly reply: { bytes: number; operation: number; senderAddress: number };
  readonly refused: { written: number; error: string | null; refused: number };
  readonly drained: number;
  readonly gone: { read: number; error: string | null };
}

const TUNSETIFF = 0x400454ca;
const IFF_TAP_NO_PI = 0x1002;
const OUR_ADDRESS = 0x0a010002;
const ITS_ADDRESS = 0x0a010001;

const harness = createEpollHarness();
const { memory, arena, counters } = harness;
const at = arena.allocate(65536);

const fd = openSync('/dev/net/tun', 'r+');
const request = arena.allocate(64);
arena.bytes.set(new TextEncoder().encode('tap0'), request);
arena.view.setUint16(request + 16, IFF_TAP_NO_PI, true);
if (libc.ioctl(fd, TUNSETIFF, memory.base + request) < 0) throw new Error(`TUNSETIFF: errno ${libc.errno()}`);
const opened = harness.host.adoptPipe(fd, 'tap');
if (typeof opened === 'string') throw new Error(opened);
const tap: EpollPipe = opened;
let readable = false;
tap.handler = {
  readable: () => {
    readable = true;
  },
  writable: () => {},
};

/** Who has 10.1.0.1? Tell 10.1.0.2. */
function writeArpRequest(): number {
  const { view, bytes } = arena;
  bytes.fill(0, at, at + 42);
  bytes.fill(0xff, at, at + 6);
  bytes.set([2, 0, 0, 0, 0, 2], at + 6);
  view.setUint16(at + 12, 0x0806);
  bytes.set([0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 2], at + 14);
  view.setUint32(at + 28, OUR_ADDRESS);
  view.setUint32(at + 38, ITS_ADDRESS);
  return tap.write(at, 42);
}

const downWritten = writeArpRequest();
const whileDown = {
  written: downWritten,
  error: tap.error ?? null,
  refusedDown: counters.get('tap-frame-refused-down'),
};

execFileSync('ip', ['addr', 'add', '10.1.0.1/24', 'dev', 'tap0']);
execFileSync('ip', ['link', 'set', 'tap0', 'up']);
writeArpRequest();
let reply: TapFindings['reply'] | undefined;
// The kernel talks of its own accord too (router solicitations, multicast reports).
await harness.until(() => {
  const bytes = tap.read(at, 65536);
  if (bytes >= 42 && arena.view.getUint16(at + 12) === 0x0806) {
    reply = { bytes, operation: arena.view.getUint16(at + 20), senderAddress: arena.view.getUint32(at + 28) };
  }
  return reply !== undefined && readable;
}, 'an ARP reply');

// Shorter than an Ethernet header.
const shortWritten = tap.write(at, 5);
const refused = { written: shortWritten, error: tap.error ?? null, refused: counters.get('tap-frame-refused') };
let drained = 1;
while (drained > 0) drained = tap.read(at, 65536);

execFileSync('ip', ['link', 'delete', 'tap0']);
await harness.until(() => tap.read(at, 65536) === -2, 'the end of the device');
const gone = { read: tap.read(at, 65536), error: tap.error ?? null };
const findings: Partial<TapFindings> = { whileDown, ...(reply && { reply }), refused, drained, gone };
console.log(JSON.stringify(findings));
await harness.close();

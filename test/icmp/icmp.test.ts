import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DatagramFailure, Host, HostDatagramHandler } from '../../src/env/host.ts';
import { IcmpEcho, MAX_ECHO_MAPPINGS_PER_GUEST } from '../../src/icmp/echo.ts';
import { ECHO_IDLE_MS } from '../../src/icmp/echo-mapping.ts';
import { unreachableFor } from '../../src/icmp/unreachable.ts';
import { readU16, readU32 } from '../../src/wire/bytes.ts';
import { sumBytes } from '../../src/wire/checksum.ts';
import {
  bytesOf,
  CoreWorld,
  echoRequest,
  GATEWAY,
  GUEST,
  type Guest,
  HOST,
  icmpMessage,
  ip,
  ipFrame,
  OUTSIDE,
} from '../support/core-world.ts';

interface Sent {
  address: number;
  ttl: number;
  dontFragment: number;
  message: Uint8Array;
}

/** A host of which only the ping sockets are there; what is sent is kept, replies are queued by the test. */
class PingHost {
  readonly sent: Sent[] = [];
  readonly replies: { address: number; message: Uint8Array }[] = [];
  readonly handlers: HostDatagramHandler[] = [];
  open = 0;
  /** Ping sockets that there may be. */
  most = Number.POSITIVE_INFINITY;
  readonly host: Host;

  constructor(world: CoreWorld, ping = true) {
    const unused = (): never => {
      throw new Error('not part of this host');
    };
    this.host = {
      capabilities: {
        icmpErrors: true,
        ttl: true,
        tos: true,
        ping,
        refusal: true,
        tap: false,
        pingHint: ping ? '' : 'sysctl net.ipv4.ping_group_range',
      },
      dial: unused,
      dialService: unused,
      openDatagram: unused,
      openEcho: (handler) => {
        if (this.open >= this.most) return 'EMFILE';
        this.handlers.push(handler);
        this.open++;
        return {
          send: (batch) => {
            for (let i = 0; i < batch.count; i++) {
              const at = batch.at[i]!;
              const message = world.arena.bytes.slice(at, at + batch.length[i]!);
              this.sent.push({
                address: batch.address[i]!,
                ttl: batch.ttl[i]!,
                dontFragment: batch.dontFragment[i]!,
                message,
              });
            }
            return 0;
          },
          receive: (batch, at, slotBytes, count) => {
            const taken = this.replies.splice(0, count);
            for (const [i, reply] of taken.entries()) {
              world.arena.bytes.set(reply.message, at + i * slotBytes);
              batch.at[i] = at + i * slotBytes;
              batch.length[i] = reply.message.length;
              batch.address[i] = reply.address;
            }
            batch.count = taken.length;
            return taken.length;
          },
          close: () => void this.open--,
        };
      },
    };
  }
}

function build(ping = true): { world: CoreWorld; guest: Guest; pings: PingHost; echo: IcmpEcho } {
  const world = new CoreWorld();
  const pings = new PingHost(world, ping);
  const echo = new IcmpEcho({ ...world, host: pings.host, own: world.interface.own });
  world.interface.register(1, echo);
  return { world, guest: world.guest(), pings, echo };
}

const ping = (destination: number, message: Uint8Array, ttl = 64, flagsAndOffset = 0): Uint8Array =>
  ipFrame({ destination, protocol: 1, payload: message, ttl, flagsAndOffset });

test('gateway and host address answer echo requests themselves', () => {
  const { world, guest, pings } = build();
  for (const address of [GATEWAY, HOST]) {
    world.receive(guest, ping(address, echoRequest(77, 5, bytesOf(56)), 1));
    const { bytes } = guest.outlet.take()[0]!;
    assert.equal(readU32(bytes, 26), address);
    assert.deepEqual([bytes[34], readU16(bytes, 38), readU16(bytes, 40)], [0, 77, 5]);
    assert.deepEqual(bytes.slice(42), bytesOf(56));
    assert.equal(sumBytes(bytes, 34, 64, 0), 0xffff);
  }
  assert.equal(pings.open, 0);
});

test('an echo request of many fragments is answered in fragments', () => {
  const { world, guest } = build();
  const message = echoRequest(1, 1, bytesOf(4000));
  for (let at = 0; at < message.length; at += 1480) {
    const more = at + 1480 < message.length ? 0x2000 : 0;
    world.receive(guest, ping(GATEWAY, message.slice(at, at + 1480), 64, more | (at / 8)));
  }
  const frames = guest.outlet.take();
  assert.equal(frames.length, 3);
  const reply = Uint8Array.from(frames.flatMap(({ bytes }) => [...bytes.subarray(34)]));
  assert.deepEqual(reply.slice(8), bytesOf(4000));
  assert.equal(sumBytes(reply, 0, reply.length, 0), 0xffff);
});

test('a request to the outside goes by a ping socket with one hop less, and its reply has the identifier of the guest', () => {
  const { world, guest, pings } = build();
  world.receive(guest, ping(OUTSIDE, echoRequest(1234, 9), 30, 0x4000));
  assert.equal(pings.sent.length, 0, 'sent before the commit phase');
  world.turn.run(1001);
  const [sent] = pings.sent;
  assert.deepEqual([sent!.address, sent!.ttl, sent!.dontFragment], [OUTSIDE, 29, 1]);
  const reply = echoRequest(4321, 9);
  reply[0] = 0;
  pings.replies.push({ address: OUTSIDE, message: reply });
  pings.handlers[0]!.readable();
  world.turn.run(1002);
  const { bytes } = guest.outlet.take()[0]!;
  assert.equal(readU32(bytes, 26), OUTSIDE);
  assert.deepEqual([bytes[34], readU16(bytes, 38), readU16(bytes, 40)], [0, 1234, 9]);
  assert.equal(sumBytes(bytes, 34, bytes.length - 34, 0), 0xffff);
});

test('a hop that a request died at speaks for itself and quotes that request', () => {
  const { world, guest, pings } = build();
  for (const sequence of [1, 2, 3]) world.receive(guest, ping(OUTSIDE, echoRequest(7, sequence), 2));
  world.turn.run(1001);
  const router = ip('198.51.100.1');
  const failure: DatagramFailure = {
    address: OUTSIDE,
    port: 0,
    code: 'EHOSTUNREACH',
    icmpType: 11,
    icmpCode: 0,
    offender: router,
    mtu: 0,
    sequence: 2,
    length: 16,
  };
  pings.handlers[0]!.failed(failure);
  pings.handlers[0]!.failed({ ...failure, code: 'EMSGSIZE', icmpType: -1, offender: 0, mtu: 1400 });
  const [hop, tooBig] = guest.outlet.take().map(({ bytes }) => bytes);
  assert.deepEqual([readU32(hop!, 26), hop![34], hop![35]], [router, 11, 0]);
  assert.deepEqual([readU32(hop!, 54), readU32(hop!, 58)], [GUEST, OUTSIDE]);
  assert.deepEqual([hop![62], readU16(hop!, 66), readU16(hop!, 68)], [8, 7, 2]);
  assert.deepEqual([readU32(tooBig!, 26), tooBig![34], tooBig![35], readU16(tooBig!, 40)], [GATEWAY, 3, 4, 1400]);
});

test('without ping sockets the log says once how to allow them, and the guest hears nothing', () => {
  const { world, guest } = build(false);
  for (const id of [1, 2]) world.receive(guest, ping(OUTSIDE, echoRequest(id, 1)));
  assert.equal(world.counters.get('icmp-echo-no-ping-socket'), 2);
  assert.deepEqual(
    world.lines.map((line) => line.fields?.hint),
    ['sysctl net.ipv4.ping_group_range'],
  );
  assert.equal(guest.outlet.count, 0);
});

test('mappings end a minute after their last use (RFC 5508 REQ-2), and one guest has no more than its share', () => {
  const { world, guest, pings, echo } = build();
  for (let id = 0; id < MAX_ECHO_MAPPINGS_PER_GUEST + 3; id++) world.receive(guest, ping(OUTSIDE, echoRequest(id, 1)));
  assert.equal(echo.size, MAX_ECHO_MAPPINGS_PER_GUEST);
  assert.equal(pings.open, MAX_ECHO_MAPPINGS_PER_GUEST);
  assert.equal(world.counters.get('icmp-echo-evicted'), 3);
  world.turn.run(1000 + 59_000);
  assert.equal(echo.size, MAX_ECHO_MAPPINGS_PER_GUEST);
  world.turn.run(1000 + ECHO_IDLE_MS + 10);
  assert.deepEqual([echo.size, pings.open], [0, 0]);
});

test('a ping that is answered outlives those under ever new identifiers that are not', () => {
  const { world, guest, pings } = build();
  world.receive(guest, ping(OUTSIDE, echoRequest(1, 1)));
  world.turn.run(1001);
  const reply = echoRequest(9, 1);
  reply[0] = 0;
  pings.replies.push({ address: OUTSIDE, message: reply });
  pings.handlers[0]!.readable();
  world.turn.run(1002);
  for (let id = 2; id < 1_100; id++) world.receive(guest, ping(OUTSIDE, echoRequest(id, 1)));
  const asked = pings.handlers.length;
  world.receive(guest, ping(OUTSIDE, echoRequest(1, 2)));
  assert.equal(pings.handlers.length, asked, 'it has its socket still');
});

test('without a descriptor left a ping takes the place of the guest’s least wanted one, within the turn', () => {
  const { world, guest, pings, echo } = build();
  pings.most = 2;
  for (const id of [1, 2, 3]) world.receive(guest, ping(OUTSIDE, echoRequest(id, 1)));
  assert.deepEqual([echo.size, pings.open], [2, 2]);
  assert.equal(world.counters.get('icmp-echo-evicted'), 1);
});

test('bad checksums, errors and other types from guests are counted and go no further', () => {
  const { world, guest } = build();
  const broken = echoRequest(1, 1);
  broken[9] = 1;
  world.receive(guest, ping(GATEWAY, broken));
  world.receive(guest, ping(OUTSIDE, icmpMessage(3, 3, new Uint8Array(32))));
  world.receive(guest, ping(OUTSIDE, icmpMessage(13, 0, new Uint8Array(16))));
  world.receive(guest, ping(OUTSIDE, icmpMessage(8, 0, new Uint8Array(2))));
  assert.deepEqual(world.counters.snapshot(), {
    'icmp-bad-checksum': 1,
    'icmp-error-from-guest': 1,
    'icmp-truncated': 1,
    'icmp-unhandled-type': 1,
  });
});

test('errors are rate-limited, and never about errors or later fragments', () => {
  const { world, guest } = build();
  for (let i = 0; i < 150; i++) world.receive(guest, ipFrame({ protocol: 132 }));
  assert.equal(guest.outlet.take().length, 100);
  assert.equal(world.counters.get('icmp-error-rate-limited'), 50);
  world.turn.run(2000);
  world.receive(guest, ping(OUTSIDE, icmpMessage(3, 3, new Uint8Array(32)), 1));
  world.receive(guest, ipFrame({ ttl: 1, flagsAndOffset: 0x0010, payload: bytesOf(40) }));
  assert.equal(guest.outlet.count, 0);
  assert.equal(world.counters.get('icmp-error-suppressed'), 2);
});

test('a guest that speaks from many addresses gets no more errors than one that speaks from one', () => {
  const { world, guest } = build();
  for (let i = 0; i < 150; i++) world.receive(guest, ipFrame({ protocol: 132, source: GUEST + (i % 50) }));
  assert.equal(guest.outlet.take().length, 100);
  world.receive(world.guest(), ipFrame({ protocol: 132, source: GUEST + 100 }));
  assert.equal(world.counters.get('icmp-error-sent'), 101);
});

test('an error quotes as much as fits into 576 bytes', () => {
  const { world, guest } = build();
  const frame = ipFrame({ protocol: 132, payload: bytesOf(1400) });
  world.receive(guest, frame);
  const { bytes } = guest.outlet.take()[0]!;
  assert.equal(bytes.length - 14, 576);
  assert.deepEqual(bytes.slice(42), frame.slice(14, 14 + 548));
});

test('host errors have the ICMP code of what a router would have said', () => {
  const codes = ['ECONNREFUSED', 'ENETUNREACH', 'EHOSTUNREACH', 'EPERM', 'EMSGSIZE', 'ETIMEDOUT'] as const;
  assert.deepEqual(
    codes.map((code) => unreachableFor(code)?.code),
    [3, 0, 1, 13, 4, undefined],
  );
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PROBE_MS } from '../../src/dhcp/conflict-probes.ts';
import { DEFAULT_DHCP, type DhcpOptions } from '../../src/dhcp/dhcp-options.ts';
import type { LeaseChange } from '../../src/dhcp/lease-record.ts';
import { LOOPBACK4 } from '../../src/env/host.ts';
import { readMac, readU16, readU32, writeMac } from '../../src/wire/bytes.ts';
import {
  BOOT_REQUEST,
  DHCP_ACK,
  DHCP_DISCOVER,
  DHCP_NAK,
  DHCP_OFFER,
  DHCP_RELEASE,
  DHCP_REQUEST,
  DhcpMessage,
  parseDhcp,
} from '../../src/wire/dhcpv4.ts';
import { DhcpWriter } from '../../src/wire/dhcpv4-writer.ts';
import { arpFrame, GATEWAY, GATEWAY_MAC, HOST, ip } from '../support/core-world.ts';
import { dhcpFrame, udpFrame } from '../support/guest-frames.ts';
import { type GuestEnd, NetworkWorld } from '../support/network-world.ts';

const ALICE = 0x5a94ef_000001;
const BOB = 0x5a94ef_000002;
const FIRST = ip('192.168.65.3');

/** A DHCP answer as it came over the link. */
interface Answer {
  readonly type: number;
  readonly address: number;
  readonly toMac: number;
  readonly toAddress: number;
  readonly toPort: number;
  readonly message: DhcpMessage;
}

function answersIn(frames: readonly Uint8Array[]): Answer[] {
  return frames
    .filter((frame) => readU16(frame, 12) === 0x0800 && frame[23] === 17 && readU16(frame, 34) === 67)
    .map((frame) => {
      const message = new DhcpMessage();
      assert.equal(parseDhcp(frame, 42, frame.length, message), undefined);
      const [toMac, toAddress, toPort] = [readMac(frame, 0), readU32(frame, 30), readU16(frame, 36)];
      return { type: message.messageType, address: message.yiaddr, toMac, toAddress, toPort, message };
    });
}

/** Addresses that ARP probes in `frames` ask for. */
function probesIn(frames: readonly Uint8Array[]): number[] {
  const probes = frames.filter((frame) => readU16(frame, 12) === 0x0806 && readU16(frame, 20) === 1);
  for (const frame of probes) {
    assert.deepEqual([readMac(frame, 0), readMac(frame, 6), readU32(frame, 28)], [0xffffffffffff, GATEWAY_MAC, 0]);
  }
  return probes.map((frame) => readU32(frame, 38));
}

class World extends NetworkWorld {
  readonly changes: LeaseChange[] = [];

  constructor(dhcp: Partial<DhcpOptions> = {}) {
    const changes: LeaseChange[] = [];
    const onLease = (change: LeaseChange): void => void changes.push(change);
    super({ network: { dhcp: { ...DEFAULT_DHCP, ...dhcp }, onLease } });
    this.changes = changes;
  }

  /** Sends and gives the probe its time. */
  ask(end: GuestEnd, ...frames: Uint8Array[]): Answer[] {
    end.send(frames);
    this.settle();
    if (this.gauges['dhcp-probes'] !== 0) this.advance(PROBE_MS + 8);
    return answersIn(end.take());
  }

  join(end: GuestEnd, mac: number, wanted?: number): number | undefined {
    const [offer] = this.ask(end, dhcpFrame(mac, DHCP_DISCOVER, wanted));
    if (offer === undefined) return undefined;
    const [ack] = this.ask(end, dhcpFrame(mac, DHCP_REQUEST, offer.address, GATEWAY));
    return ack?.address;
  }
}

describe('DHCP on a link', () => {
  it('asks every guest for an address before it is given, and leaves alone what someone has', () => {
    const world = new World();
    const [alice, bob] = [world.qemu('alice'), world.tap('bob')];
    bob.send([arpFrame(1, BOB, FIRST + 50, FIRST + 50)]);
    world.settle();
    alice.send([dhcpFrame(ALICE)]);
    world.settle();
    assert.deepEqual(probesIn(alice.take()), [FIRST]);
    // Bob heard the broadcast DISCOVER too.
    assert.deepEqual(probesIn(bob.take()), [FIRST]);
    const reply = arpFrame(2, BOB, FIRST, 0);
    writeMac(reply, 0, GATEWAY_MAC);
    bob.send([reply]);
    world.advance(2 * PROBE_MS + 16);
    const frames = alice.take();
    assert.deepEqual(probesIn(frames), [FIRST, FIRST + 1, FIRST + 1]);
    assert.deepEqual(
      answersIn(frames).map(({ type, address }) => [type, address]),
      [[DHCP_OFFER, FIRST + 1]],
    );
    assert.equal(world.counters.get('dhcp-probe-conflict'), 1);
  });

  it("gives nobody the gateway's, the host's, the network's or the broadcast address, full as it may be", () => {
    const world = new World({ leasesPerGuest: 300 });
    const end = world.qemu();
    for (const wanted of [GATEWAY, HOST, ip('192.168.65.0'), ip('192.168.65.255')]) {
      const [nak] = world.ask(end, dhcpFrame(ALICE, DHCP_REQUEST, wanted));
      assert.equal(nak?.type, DHCP_NAK);
      assert.equal(world.join(end, ALICE, wanted), FIRST);
    }
    const given = Array.from({ length: 252 }, (_, i) => world.join(end, BOB + i));
    // .4 to .253, and then none.
    const rest = Array.from({ length: 250 }, (_, i) => FIRST + 1 + i);
    assert.deepEqual(new Set(given), new Set([...rest, undefined]));
    assert.equal(new Set(world.network.leases().map(({ address }) => address)).size, 251);
  });

  it('renews by unicast without a probe, and ends the lease when it is not renewed', () => {
    const world = new World({ leaseSeconds: 600 });
    const end = world.qemu();
    assert.equal(world.join(end, ALICE), FIRST);
    world.advance(300_000);
    const renewal = new Uint8Array(300);
    const writer = new DhcpWriter(renewal);
    const none = { hops: 0, secs: 0, yiaddr: 0, siaddr: 0, giaddr: 0, broadcast: false };
    writer.start(0, 300, { ...none, operation: BOOT_REQUEST, xid: 9, ciaddr: FIRST, chaddr: ALICE });
    writer.putU8(53, DHCP_REQUEST);
    writer.finish();
    const [ack] = world.ask(end, udpFrame({ mac: ALICE, source: FIRST, destination: GATEWAY }, 68, 67, renewal));
    assert.deepEqual([ack?.type, ack?.toMac, ack?.toAddress], [DHCP_ACK, ALICE, FIRST]);
    world.advance(599_000);
    assert.deepEqual(
      world.changes.map(({ kind }) => kind),
      ['bound', 'bound'],
    );
    world.advance(1004);
    assert.deepEqual(
      world.changes.map(({ kind }) => kind),
      ['bound', 'bound', 'ended'],
    );
    assert.deepEqual(
      world.network.leases().map(({ address, remainingMs }) => [address, remainingMs]),
      [[FIRST, 0]],
    );
  });

  it('gives the addresses of an earlier network again', () => {
    const before = new World();
    const end = before.qemu();
    assert.equal(before.join(end, ALICE, FIRST + 40), FIRST + 40);
    assert.equal(before.join(end, BOB), FIRST);
    before.ask(end, udpFrame({ mac: BOB, source: FIRST, destination: GATEWAY }, 68, 67, release(BOB, FIRST)));
    before.advance(10_000);
    const kept = before.network.leases();
    assert.deepEqual(
      kept.map(({ remainingMs }) => remainingMs > 0),
      [false, true],
    );

    const after = new World();
    after.network.restoreLeases(kept);
    assert.deepEqual(after.network.leases(), kept);
    const other = after.qemu();
    assert.equal(after.join(other, 0x5a94ef_000009), FIRST + 1);
    assert.deepEqual(
      after.ask(other, dhcpFrame(ALICE, DHCP_REQUEST, FIRST + 40)).map(({ type }) => type),
      [DHCP_ACK],
    );
    assert.equal(after.join(other, BOB), FIRST);
  });

  it('hears clients and relays only: an ordinary program of a guest cannot give its address back', () => {
    const world = new World();
    const end = world.qemu();
    const address = world.join(end, ALICE)!;
    const release = new Uint8Array(300);
    const writer = new DhcpWriter(release);
    const none = { hops: 0, secs: 0, yiaddr: 0, siaddr: 0, giaddr: 0, broadcast: false };
    writer.start(0, 300, { ...none, operation: BOOT_REQUEST, xid: 9, ciaddr: address, chaddr: ALICE });
    writer.putU8(53, DHCP_RELEASE);
    writer.putU32(54, GATEWAY);
    const message = release.slice(0, writer.finish());
    const from = { mac: ALICE, source: address, destination: GATEWAY };
    world.ask(end, udpFrame(from, 40_000, 67, message));
    assert.deepEqual(
      world.changes.map(({ kind }) => kind),
      ['bound'],
    );
    assert.equal(world.counters.get('dhcp-bad-source-port'), 1);
    world.ask(end, udpFrame(from, 68, 67, message));
    assert.equal(world.changes.at(-1)?.kind, 'ended');
  });

  it('answers a relay of the subnet at its own address, port 67', () => {
    const world = new World();
    const end = world.qemu();
    const relay = ip('192.168.65.200');
    const message = new Uint8Array(300);
    const writer = new DhcpWriter(message);
    const none = { secs: 0, ciaddr: 0, yiaddr: 0, siaddr: 0, broadcast: false };
    writer.start(0, 300, { ...none, operation: BOOT_REQUEST, hops: 1, xid: 9, giaddr: relay, chaddr: ALICE });
    writer.putU8(53, DHCP_DISCOVER);
    writer.putBytes(82, Uint8Array.of(1, 1, 5));
    writer.finish();
    const [offer] = world.ask(end, udpFrame({ mac: BOB, source: relay, destination: GATEWAY }, 67, 67, message));
    assert.deepEqual([offer?.type, offer?.address], [DHCP_OFFER, FIRST]);
    assert.deepEqual([offer?.toMac, offer?.toAddress, offer?.toPort], [BOB, relay, 67]);
    assert.deepEqual(offer?.message.relayInformation, Uint8Array.of(1, 1, 5));
  });

  it('reserves an address while the network runs, and takes it from whoever has it', () => {
    const world = new World();
    const end = world.qemu();
    assert.equal(world.join(end, ALICE), FIRST);
    world.network.reserveLease(BOB, FIRST);
    assert.deepEqual(
      world.changes.map(({ kind }) => kind),
      ['bound', 'ended'],
    );
    assert.deepEqual(
      world.ask(end, dhcpFrame(ALICE, DHCP_REQUEST, FIRST)).map(({ type }) => type),
      [DHCP_NAK],
    );
    assert.equal(world.join(end, BOB), FIRST);
    assert.equal(world.join(end, ALICE), FIRST + 1);
  });

  it('gives out the address of a service that is gone', () => {
    const world = new World();
    const end = world.qemu();
    const target = { kind: 'host', address: LOOPBACK4, port: 5432 } as const;
    world.network.setServices([{ protocol: 'tcp', address: FIRST, port: 5432, target }]);
    assert.equal(world.join(end, ALICE), FIRST + 1);
    world.network.setServices([]);
    assert.equal(world.join(end, BOB), FIRST);
  });

  it('keeps known guests served while another port floods it with made-up ones', () => {
    const world = new World();
    const [alice, flooder, newcomer] = [world.qemu('alice'), world.qemu('flooder'), world.qemu('newcomer')];
    assert.equal(world.join(alice, ALICE), FIRST);
    for (let i = 0; i < 3000; i++) {
      const mac = 0x020000_000000 + i;
      flooder.send([dhcpFrame(mac), dhcpFrame(mac, DHCP_REQUEST, FIRST + (i % 250))]);
      world.settle();
      if (i % 50 === 49) world.advance(PROBE_MS + 8);
      for (const end of [alice, flooder, newcomer]) end.take();
    }
    assert.ok(world.gauges['dhcp-leases']! <= 64 + 1);
    assert.equal(world.join(alice, ALICE), FIRST);
    assert.ok(world.join(newcomer, BOB));
    assert.equal(
      world.changes.some(({ kind, lease }) => kind === 'ended' && lease.mac === ALICE),
      false,
    );
  });

  it('forgets what it was asking for when the network is destroyed', () => {
    const world = new World();
    const end = world.qemu();
    end.send([dhcpFrame(ALICE)]);
    world.settle();
    assert.equal(world.gauges['dhcp-probes'], 1);
    world.network.abort();
    assert.equal(world.gauges['dhcp-probes'], 0);
  });

  it("reaches the gateway's internal DNS service beside the other one", () => {
    const world = new World();
    const end = world.qemu();
    const route = { mac: ALICE, source: FIRST, destination: GATEWAY };
    end.send([udpFrame(route, 5000, 5301, Uint8Array.of(1)), udpFrame(route, 5000, 53, Uint8Array.of(2))]);
    world.settle();
    assert.deepEqual(
      world.questions.map(({ service, gatewayPort }) => [service, gatewayPort]),
      [
        ['dns-internal', 5301],
        ['dns', 53],
      ],
    );
  });
});

function release(mac: number, ciaddr: number): Uint8Array {
  const message = new Uint8Array(300);
  const writer = new DhcpWriter(message);
  const none = { hops: 0, secs: 0, yiaddr: 0, siaddr: 0, giaddr: 0, broadcast: false };
  writer.start(0, 300, { ...none, operation: BOOT_REQUEST, xid: 9, ciaddr, chaddr: mac });
  writer.putU8(53, DHCP_RELEASE);
  writer.putU32(54, GATEWAY);
  writer.finish();
  return message;
}

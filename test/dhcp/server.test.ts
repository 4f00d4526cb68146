import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { LeaseTable } from '../../src/dhcp/lease-table.ts';
import { type DhcpParameters, type DhcpReply, writeDhcpReply } from '../../src/dhcp/reply.ts';
import { DhcpServer } from '../../src/dhcp/server.ts';
import { Counters } from '../../src/env/counters.ts';
import {
  BOOT_REPLY,
  BOOT_REQUEST,
  DHCP_ACK,
  DHCP_DECLINE,
  DHCP_DISCOVER,
  DHCP_INFORM,
  DHCP_NAK,
  DHCP_OFFER,
  DHCP_RELEASE,
  DHCP_REQUEST,
  DhcpMessage,
  parseDhcp,
} from '../../src/wire/dhcpv4.ts';
import { DhcpWriter } from '../../src/wire/dhcpv4-writer.ts';

const NETWORK = 0xc0a84100;
const GATEWAY = NETWORK + 1;
const MAC = 0x020000000005;
const ALL = 0xffffffff;
const ALL_MACS = 0xffffffffffff;

const PARAMETERS: DhcpParameters = {
  serverAddress: GATEWAY,
  subnetMask: 0xffffff00,
  broadcastAddress: NETWORK + 255,
  routers: [GATEWAY],
  dnsServers: [GATEWAY],
  mtu: 65_520,
  leaseSeconds: 3600,
  domainName: '',
};

interface Asked {
  readonly type: number;
  readonly mac?: number;
  readonly wanted?: number;
  readonly server?: number;
  readonly ciaddr?: number;
  readonly giaddr?: number;
  readonly broadcast?: boolean;
  readonly hostName?: string;
  readonly id?: Uint8Array;
}

function bench() {
  const counters = new Counters();
  const leases = new LeaseTable({
    network: NETWORK,
    prefixLength: 24,
    excluded: [GATEWAY, NETWORK + 2, NETWORK + 254],
  });
  const server = new DhcpServer(PARAMETERS, leases, counters);
  const ask = (asked: Asked, nowMs = 0): DhcpReply | undefined => {
    const bytes = new Uint8Array(600);
    const writer = new DhcpWriter(bytes);
    writer.start(0, 600, {
      operation: BOOT_REQUEST,
      hops: 0,
      xid: 0x1234,
      secs: 0,
      broadcast: asked.broadcast ?? false,
      ciaddr: asked.ciaddr ?? 0,
      yiaddr: 0,
      siaddr: 0,
      giaddr: asked.giaddr ?? 0,
      chaddr: asked.mac ?? MAC,
    });
    writer.putU8(53, asked.type);
    if (asked.wanted !== undefined) writer.putU32(50, asked.wanted);
    if (asked.server !== undefined) writer.putU32(54, asked.server);
    if (asked.hostName !== undefined) writer.putText(12, asked.hostName);
    if (asked.id !== undefined) writer.putBytes(61, asked.id);
    return server.handle(bytes, 0, writer.finish(), nowMs);
  };
  return { counters, leases, server, ask };
}

describe('DhcpServer', () => {
  it('takes a client from DISCOVER to a bound lease', () => {
    const t = bench();
    const offer = t.ask({ type: DHCP_DISCOVER });
    assert.deepEqual([offer?.messageType, offer?.yiaddr, offer?.xid], [DHCP_OFFER, NETWORK + 3, 0x1234]);
    const ack = t.ask({ type: DHCP_REQUEST, wanted: NETWORK + 3, server: GATEWAY, hostName: 'web-1' });
    assert.deepEqual([ack?.messageType, ack?.yiaddr], [DHCP_ACK, NETWORK + 3]);
    const [lease] = t.leases.list();
    assert.deepEqual([lease?.state, lease?.hostName, lease?.untilMs], ['bound', 'web-1', 3_600_000]);
  });

  it('writes all that a client needs to know', () => {
    const t = bench();
    const offer = t.ask({ type: DHCP_DISCOVER, id: Uint8Array.of(0, 1, 2) });
    assert.ok(offer);
    const bytes = new Uint8Array(600);
    const message = new DhcpMessage();
    const length = writeDhcpReply(bytes, 0, offer, PARAMETERS);
    assert.equal(parseDhcp(bytes, 0, length, message), undefined);
    assert.deepEqual([message.operation, message.yiaddr, message.chaddr], [BOOT_REPLY, NETWORK + 3, MAC]);
    const numbers = [1, 3, 6, 28, 51, 54, 58, 59].map((code) => message.options.u32(code));
    assert.deepEqual(numbers, [0xffffff00, GATEWAY, GATEWAY, NETWORK + 255, 3600, GATEWAY, 1800, 3150]);
    assert.equal(message.options.u16(26), 65_520);
    assert.equal(message.messageType, DHCP_OFFER);
    assert.deepEqual(message.clientIdentifier, Uint8Array.of(0, 1, 2));
  });

  it('sends to the client itself, to its address, or to all, as RFC 2131 §4.1 says', () => {
    const to = (reply: DhcpReply | undefined): unknown => [reply?.destinationAddress, reply?.destinationMac];
    const t = bench();
    assert.deepEqual(to(t.ask({ type: DHCP_DISCOVER })), [NETWORK + 3, MAC]);
    assert.deepEqual(to(t.ask({ type: DHCP_DISCOVER, broadcast: true })), [ALL, ALL_MACS]);
    assert.deepEqual(to(t.ask({ type: DHCP_REQUEST, ciaddr: NETWORK + 3 })), [NETWORK + 3, MAC]);
    assert.deepEqual(to(t.ask({ type: DHCP_REQUEST, wanted: 0x0a000005 })), [ALL, ALL_MACS]);
  });

  it('refuses an address of another network or of another client', () => {
    const t = bench();
    t.ask({ type: DHCP_REQUEST, wanted: NETWORK + 9, mac: MAC + 1 });
    for (const wanted of [0x0a000005, GATEWAY, NETWORK + 9]) {
      assert.equal(t.ask({ type: DHCP_REQUEST, wanted })?.messageType, DHCP_NAK);
    }
    assert.equal(t.counters.get('dhcp-nak'), 3);
  });

  it('renews the lease of a client that it has forgotten, when the address is free', () => {
    const t = bench();
    const ack = t.ask({ type: DHCP_REQUEST, ciaddr: NETWORK + 40 });
    assert.deepEqual([ack?.messageType, ack?.yiaddr, ack?.ciaddr], [DHCP_ACK, NETWORK + 40, NETWORK + 40]);
  });

  it('stays silent when the client took another server, and takes its offer back', () => {
    const t = bench();
    t.ask({ type: DHCP_DISCOVER });
    assert.equal(t.ask({ type: DHCP_REQUEST, wanted: 0x0a000005, server: 0x0a000001 }), undefined);
    assert.equal(t.leases.list()[0]?.state, 'free');
  });

  it('frees what is released and avoids what is declined', () => {
    const t = bench();
    t.ask({ type: DHCP_REQUEST, wanted: NETWORK + 3 });
    assert.equal(t.ask({ type: DHCP_RELEASE, ciaddr: NETWORK + 3, server: GATEWAY }), undefined);
    assert.equal(t.leases.list()[0]?.state, 'free');
    t.ask({ type: DHCP_REQUEST, wanted: NETWORK + 3 });
    assert.equal(t.ask({ type: DHCP_DECLINE, wanted: NETWORK + 3, server: GATEWAY }), undefined);
    assert.equal(t.ask({ type: DHCP_DISCOVER })?.yiaddr, NETWORK + 4);
  });

  it('answers INFORM without an address or a lease time', () => {
    const t = bench();
    const ack = t.ask({ type: DHCP_INFORM, ciaddr: NETWORK + 99 });
    assert.ok(ack);
    assert.deepEqual([ack.messageType, ack.yiaddr, ack.destinationAddress], [DHCP_ACK, 0, NETWORK + 99]);
    const bytes = new Uint8Array(600);
    const message = new DhcpMessage();
    parseDhcp(bytes, 0, writeDhcpReply(bytes, 0, ack, PARAMETERS), message);
    assert.equal(message.leaseSeconds, undefined);
    assert.equal(t.leases.list().length, 0);
  });

  it('counts what it does not serve', () => {
    const t = bench();
    t.ask({ type: DHCP_DISCOVER, giaddr: 0x0a000001 });
    t.ask({ type: DHCP_DISCOVER, mac: ALL_MACS });
    t.ask({ type: DHCP_OFFER });
    assert.deepEqual(t.counters.snapshot(), { 'dhcp-bad-mac': 1, 'dhcp-bad-message-type': 1, 'dhcp-relayed': 1 });
  });

  it('keeps no host name that could not stand in DNS', () => {
    const t = bench();
    t.ask({ type: DHCP_REQUEST, wanted: NETWORK + 3, hostName: '../etc\n' });
    assert.equal(t.leases.list()[0]?.hostName, '');
  });

  it('never throws on random bytes', () => {
    const t = bench();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.boolean(), (tail, valid) => {
        const bytes = new Uint8Array(240 + tail.length);
        bytes.set([1, 1, 6]);
        bytes.set([2, 0, 0, 0, 0, 9], 28);
        if (valid) bytes.set([0x63, 0x82, 0x53, 0x63], 236);
        bytes.set(tail, 240);
        t.server.handle(bytes, 0, bytes.length, 0);
        t.server.handle(bytes, 0, Math.min(bytes.length, tail.length), 0);
      }),
    );
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  BOOT_REPLY,
  DHCP_ACK,
  DHCP_DECLINE,
  DHCP_DISCOVER,
  DHCP_INFORM,
  DHCP_NAK,
  DHCP_OFFER,
  DHCP_RELEASE,
  DHCP_REQUEST,
} from '../../src/wire/dhcpv4.ts';
import { hex } from '../support/hostile-bytes.ts';
import { type Answer, type Asked, DhcpBench, GATEWAY, MAC, messageOf, NETWORK } from './dhcp-bench.ts';

const ALL = 0xffffffff;
const ALL_MACS = 0xffffffffffff;
const OTHER_SERVER = NETWORK + 77;

const facts = (answer: Answer | undefined): unknown => [answer?.reply.messageType, answer?.reply.yiaddr];
const destination = (answer: Answer | undefined): unknown => {
  const { destinationAddress, destinationPort, destinationMac } = answer?.reply ?? {};
  return [destinationAddress, destinationPort, destinationMac];
};

describe('DhcpServer: RFC 2131 §4.3.1, DISCOVER', () => {
  it('takes a client to a bound lease, and says so', () => {
    const t = new DhcpBench();
    const offer = t.ask({ type: DHCP_DISCOVER });
    assert.deepEqual(facts(offer), [DHCP_OFFER, NETWORK + 3]);
    assert.deepEqual([offer?.message.operation, offer?.message.xid], [BOOT_REPLY, 0x1234]);
    assert.deepEqual(t.changes, []);
    const ack = t.ask({ type: DHCP_REQUEST, wanted: NETWORK + 3, server: GATEWAY, hostName: 'web-1' });
    assert.deepEqual(facts(ack), [DHCP_ACK, NETWORK + 3]);
    assert.deepEqual(t.changes, [
      {
        kind: 'bound',
        lease: {
          address: NETWORK + 3,
          mac: MAC,
          clientKey: '020000000005',
          hostName: 'web-1',
          remainingMs: 3_600_000,
          seenAgoMs: 0,
        },
      },
    ]);
  });

  it('offers the current lease, then the previous one, then the wish, then one from the pool', () => {
    const t = new DhcpBench();
    assert.equal(t.join({ wanted: NETWORK + 40 }), NETWORK + 40);
    assert.deepEqual(facts(t.ask({ type: DHCP_DISCOVER, wanted: NETWORK + 50 })), [DHCP_OFFER, NETWORK + 40]);
    t.ask({ type: DHCP_RELEASE, ciaddr: NETWORK + 40, server: GATEWAY });
    assert.deepEqual(facts(t.ask({ type: DHCP_DISCOVER, wanted: NETWORK + 50 })), [DHCP_OFFER, NETWORK + 40]);
    assert.deepEqual(facts(t.ask({ type: DHCP_DISCOVER, mac: 9, wanted: NETWORK + 40 })), [DHCP_OFFER, NETWORK + 3]);
  });

  it('gives the lease time that is asked for, from a minute to its own', () => {
    const t = new DhcpBench();
    const granted = (leaseSeconds: number): unknown =>
      t.ask({ type: DHCP_DISCOVER, leaseSeconds })?.message.leaseSeconds;
    assert.deepEqual([600, 5, 99_999, 0xffffffff].map(granted), [600, 60, 3600, 3600]);
    t.ask({ type: DHCP_REQUEST, wanted: NETWORK + 3, server: GATEWAY, leaseSeconds: 120 });
    assert.equal(t.leases.list()[0]?.untilMs, t.nowMs + 120_000);
  });

  it('gives a lease for good when the configuration says so', () => {
    const t = new DhcpBench({ leaseSeconds: Number.POSITIVE_INFINITY });
    const offer = t.ask({ type: DHCP_DISCOVER });
    assert.deepEqual([offer?.message.leaseSeconds, offer?.codes.includes(58)], [0xffffffff, false]);
    t.join({});
    assert.equal(t.leases.records(t.nowMs)[0]?.remainingMs, Number.POSITIVE_INFINITY);
  });

  it('recognises the client by its identifier before its MAC (RFC 4361), and gives that back (RFC 6842)', () => {
    const t = new DhcpBench();
    const id = Uint8Array.of(255, 0, 0, 0, 1, 0, 2, 3);
    assert.equal(t.join({ id }), NETWORK + 3);
    assert.equal(t.join({ id, mac: MAC + 1 }), NETWORK + 3);
    assert.equal(t.join({ mac: MAC }), NETWORK + 4);
    assert.deepEqual(t.ask({ type: DHCP_DISCOVER, id })?.message.clientIdentifier, id);
    assert.deepEqual(t.ask({ type: DHCP_REQUEST, id, ciaddr: 1 })?.message.clientIdentifier, id);
  });

  it('knows a machine by its card from its boot ROM, without identifier, to its system, with one, and back', () => {
    const t = new DhcpBench();
    const id = Uint8Array.of(255, 1, 2, 3, 4, 0, 2, 0, 0, 0xab, 0x11, 9);
    assert.equal(t.join({ hostName: 'web' }), NETWORK + 3);
    assert.equal(t.join({ id, hostName: 'web' }), NETWORK + 3);
    assert.equal(t.join({ id, hostName: 'web' }), NETWORK + 3);
    // It starts anew, behind another port.
    assert.equal(t.join({ place: 2 }), NETWORK + 3);
    assert.equal(t.join({ id, place: 2 }), NETWORK + 3);
    assert.equal(t.leases.size, 1);
    assert.deepEqual(
      t.changes.filter(({ kind }) => kind === 'ended'),
      [],
    );
    assert.match(t.changes.at(-1)?.lease.clientKey ?? '', /^id-ff01020304/);
    assert.deepEqual([t.leases.leasesOf(1).size, t.leases.leasesOf(2).size], [0, 1]);
    // Two identifiers are two clients, whatever card they have.
    assert.equal(t.join({ id: Uint8Array.of(255, 7, 7), place: 2 }), NETWORK + 4);
    assert.equal(t.counters.get('dhcp-card-recognised'), 3);
  });

  it('renews under the identifier what the card got without one, in place of a NAK', () => {
    const t = new DhcpBench();
    assert.equal(t.join({}), NETWORK + 3);
    const id = Uint8Array.of(255, 7, 7);
    assert.deepEqual(facts(t.ask({ type: DHCP_REQUEST, id, wanted: NETWORK + 3 })), [DHCP_ACK, NETWORK + 3]);
    t.ask({ type: DHCP_RELEASE, ciaddr: NETWORK + 3, server: GATEWAY });
    assert.equal(t.leases.at(NETWORK + 3)?.state, 'bound', 'a RELEASE takes over nothing');
  });

  it('leaves an address that is reserved for an identifier to that', () => {
    const id = Uint8Array.of(255, 7, 7);
    const t = new DhcpBench({ reservations: [{ clientKey: 'id-ff0707', address: NETWORK + 50 }] });
    assert.equal(t.join({}), NETWORK + 3);
    assert.equal(t.join({ id }), NETWORK + 50);
    assert.equal(t.join({ mac: MAC + 1, id }), NETWORK + 50);
    assert.equal(t.join({ mac: MAC + 1 }), NETWORK + 4);
  });

  it('never offers an address of the gateway, network or broadcast, or a virtual one', () => {
    const t = new DhcpBench({}, 29);
    t.own.add(NETWORK + 4);
    const given = [1, 2, 3, 4, 5].map((mac) => t.join({ mac, wanted: NETWORK + 4 }));
    assert.deepEqual(given, [NETWORK + 3, NETWORK + 5, NETWORK + 6, undefined, undefined]);
    assert.equal(t.counters.get('dhcp-pool-exhausted'), 2);
  });

  it('keeps to the range that is configured', () => {
    const t = new DhcpBench({ range: { first: NETWORK + 100, last: NETWORK + 101 } });
    assert.deepEqual(
      [1, 2, 3].map((mac) => t.join({ mac, wanted: NETWORK + 5 })),
      [NETWORK + 100, NETWORK + 101, undefined],
    );
  });
});

describe('DhcpServer: RFC 2131 §4.3.2, REQUEST', () => {
  it('SELECTING another server: silence, and its own offer is taken back', () => {
    const t = new DhcpBench();
    t.ask({ type: DHCP_DISCOVER });
    assert.equal(t.ask({ type: DHCP_REQUEST, wanted: 0x0a000005, server: OTHER_SERVER }), undefined);
    assert.equal(t.leases.size, 0);
    const bound = t.join({});
    assert.equal(t.ask({ type: DHCP_REQUEST, wanted: 0x0a000005, server: OTHER_SERVER }), undefined);
    assert.equal(t.leases.at(bound ?? 0)?.state, 'bound');
  });

  it('INIT-REBOOT: ACK for the right address, NAK for a wrong one', () => {
    const t = new DhcpBench();
    t.join({});
    t.join({ mac: 9 });
    assert.deepEqual(facts(t.ask({ type: DHCP_REQUEST, wanted: NETWORK + 3 })), [DHCP_ACK, NETWORK + 3]);
    for (const wanted of [0x0a000005, GATEWAY, NETWORK, NETWORK + 255, NETWORK + 4]) {
      assert.deepEqual(facts(t.ask({ type: DHCP_REQUEST, wanted })), [DHCP_NAK, 0]);
    }
    assert.equal(t.counters.get('dhcp-nak'), 5);
  });

  it('INIT-REBOOT of an unknown client: being the only server, it gives a free address', () => {
    const t = new DhcpBench();
    assert.deepEqual(facts(t.ask({ type: DHCP_REQUEST, wanted: NETWORK + 40 })), [DHCP_ACK, NETWORK + 40]);
  });

  it('RENEWING and REBINDING: the lease begins anew', () => {
    const t = new DhcpBench();
    t.join({});
    t.advance(1_800_000);
    const ack = t.ask({ type: DHCP_REQUEST, ciaddr: NETWORK + 3 });
    assert.deepEqual([facts(ack), ack?.message.ciaddr], [[DHCP_ACK, NETWORK + 3], NETWORK + 3]);
    assert.equal(t.leases.at(NETWORK + 3)?.untilMs, t.nowMs + 3_600_000);
    t.advance(3_599_000);
    assert.equal(t.changes.filter(({ kind }) => kind === 'ended').length, 0);
  });

  it('RENEWING a lease that it has forgotten: ACK when the address is free, NAK when it is not', () => {
    const t = new DhcpBench();
    assert.deepEqual(facts(t.ask({ type: DHCP_REQUEST, ciaddr: NETWORK + 40 })), [DHCP_ACK, NETWORK + 40]);
    assert.deepEqual(facts(t.ask({ type: DHCP_REQUEST, ciaddr: NETWORK + 40, mac: 9 })), [DHCP_NAK, 0]);
  });

  it('a renewal of an address that the gateway took for itself meanwhile: NAK', () => {
    const t = new DhcpBench();
    t.join({});
    t.own.add(NETWORK + 3);
    assert.deepEqual(facts(t.ask({ type: DHCP_REQUEST, ciaddr: NETWORK + 3 })), [DHCP_NAK, 0]);
  });

  it('says why not, and asks for no address: nothing', () => {
    const t = new DhcpBench();
    const nak = t.ask({ type: DHCP_REQUEST, wanted: 0x0a000005, list: [1, 3] });
    assert.equal(nak?.message.options.text(56), 'the address is of another network');
    assert.deepEqual(nak?.codes, [53, 54, 56]);
    assert.equal(t.ask({ type: DHCP_REQUEST }), undefined);
    assert.equal(t.counters.get('dhcp-request-without-address'), 1);
  });
});

describe('DhcpServer: RFC 2131 §4.3.3 to §4.3.5', () => {
  it('DECLINE: the address is out of use for ten minutes, and the lease on it over', () => {
    const t = new DhcpBench();
    t.join({});
    assert.equal(t.ask({ type: DHCP_DECLINE, wanted: NETWORK + 3, server: GATEWAY }), undefined);
    assert.deepEqual(
      t.changes.map(({ kind }) => kind),
      ['bound', 'ended'],
    );
    assert.equal(t.join({}), NETWORK + 4);
    assert.equal(t.join({ mac: 9, wanted: NETWORK + 3 }), NETWORK + 5);
    t.advance(600_004);
    assert.equal(t.join({ mac: 10, wanted: NETWORK + 3 }), NETWORK + 3);
  });

  it('DECLINE counts only from who has the address, and for this server', () => {
    const t = new DhcpBench();
    t.join({});
    t.ask({ type: DHCP_DECLINE, wanted: NETWORK + 3, server: GATEWAY, mac: 9 });
    t.ask({ type: DHCP_DECLINE, wanted: NETWORK + 3, server: OTHER_SERVER });
    t.ask({ type: DHCP_DECLINE, server: GATEWAY });
    // A container behind the guest's address: a client that declines has none (§4.4.4).
    t.ask({ type: DHCP_DECLINE, wanted: NETWORK + 3, server: GATEWAY, source: NETWORK + 3 });
    assert.equal(t.leases.at(NETWORK + 3)?.state, 'bound');
    assert.deepEqual(t.counters.snapshot(), { 'dhcp-decline-ignored': 4 });
  });

  it('RELEASE: the lease is over, the address remembered for the client', () => {
    const t = new DhcpBench();
    t.join({});
    t.ask({ type: DHCP_RELEASE, ciaddr: NETWORK + 3, server: OTHER_SERVER });
    t.ask({ type: DHCP_RELEASE, ciaddr: NETWORK + 3, server: GATEWAY, mac: 9 });
    assert.equal(t.changes.length, 1);
    assert.equal(t.counters.get('dhcp-release-ignored'), 2);
    assert.equal(t.ask({ type: DHCP_RELEASE, ciaddr: NETWORK + 3, server: GATEWAY }), undefined);
    assert.deepEqual([t.changes[1]?.kind, t.changes[1]?.lease.remainingMs], ['ended', 0]);
    assert.equal(t.join({ mac: 9 }), NETWORK + 4);
    assert.equal(t.join({}), NETWORK + 3);
  });

  it('INFORM: parameters without an address, a lease or its times', () => {
    const t = new DhcpBench();
    const ack = t.ask({ type: DHCP_INFORM, ciaddr: NETWORK + 99 });
    assert.deepEqual(facts(ack), [DHCP_ACK, 0]);
    assert.deepEqual(destination(ack), [NETWORK + 99, 68, MAC]);
    assert.deepEqual(
      [51, 58, 59].filter((code) => ack?.codes.includes(code)),
      [],
    );
    assert.ok(ack?.codes.includes(3));
    assert.equal(t.leases.size, 0);
    for (const ciaddr of [0, 0x08080808, NETWORK + 255]) assert.equal(t.ask({ type: DHCP_INFORM, ciaddr }), undefined);
    assert.equal(t.counters.get('dhcp-inform-without-address'), 3);
  });
});

describe('DhcpServer: RFC 2131 §4.4, leases in time', () => {
  it('ends a lease on time, by itself, and remembers its client', () => {
    const t = new DhcpBench();
    t.join({});
    t.advance(3_599_990);
    assert.equal(t.changes.length, 1);
    t.advance(14);
    assert.deepEqual(
      t.changes.map(({ kind }) => kind),
      ['bound', 'ended'],
    );
    assert.equal(t.leases.at(NETWORK + 3)?.state, 'free');
    assert.equal(t.join({ mac: 9 }), NETWORK + 4);
    assert.equal(t.join({}), NETWORK + 3);
  });

  it('takes a remembered address last, from the client not heard for longest', () => {
    const t = new DhcpBench({}, 29);
    for (const mac of [1, 2, 3, 4]) {
      t.join({ mac });
      t.ask({ type: DHCP_RELEASE, mac, ciaddr: NETWORK + 2 + mac, server: GATEWAY });
      t.advance(1000);
    }
    t.join({ mac: 1 });
    t.ask({ type: DHCP_RELEASE, mac: 1, ciaddr: NETWORK + 3, server: GATEWAY });
    assert.equal(t.join({ mac: 9 }), NETWORK + 4);
  });

  it('takes a remembered address again once its client is silent, even where nobody is asked', () => {
    const t = new DhcpBench({ range: { first: NETWORK + 3, last: NETWORK + 3 } });
    t.join({});
    t.heard.set(NETWORK + 3, { mac: MAC, port: { id: 1 }, seenMs: t.nowMs });
    t.ask({ type: DHCP_RELEASE, ciaddr: NETWORK + 3, server: GATEWAY });
    assert.equal(t.join({ mac: 9, place: 2 }), undefined);
    t.advance(61_000);
    assert.equal(t.join({ mac: 9, place: 2 }), NETWORK + 3);
  });

  it('keeps the name of a client that does not repeat it', () => {
    const t = new DhcpBench();
    t.join({ hostName: 'web' });
    t.ask({ type: DHCP_REQUEST, ciaddr: NETWORK + 3 });
    t.ask({ type: DHCP_RELEASE, ciaddr: NETWORK + 3, server: GATEWAY });
    t.ask({ type: DHCP_REQUEST, wanted: NETWORK + 3 });
    assert.deepEqual(
      t.changes.map(({ lease }) => lease.hostName),
      ['web', 'web', 'web', 'web'],
    );
  });

  it('takes up the leases of an earlier run and counts them down', () => {
    const t = new DhcpBench({ reservations: [{ mac: 7, address: NETWORK + 9 }] });
    const record = { address: NETWORK + 8, mac: MAC, clientKey: '020000000005', hostName: 'db', seenAgoMs: 5000 };
    t.server.restore(
      [
        { ...record, remainingMs: 10_000 },
        { ...record, address: NETWORK + 9, clientKey: 'id-09', remainingMs: 10_000 },
        { ...record, address: GATEWAY, clientKey: 'id-01', remainingMs: 10_000 },
        { ...record, address: NETWORK + 8, clientKey: 'id-02', remainingMs: 10_000 },
        { ...record, address: NETWORK + 10, mac: 3, clientKey: 'id-03', remainingMs: -5 },
        { ...record, address: NETWORK + 11, mac: 4, clientKey: 'id-04', remainingMs: Number.POSITIVE_INFINITY },
      ],
      t.nowMs,
    );
    assert.equal(t.counters.get('dhcp-lease-not-restored'), 3);
    assert.equal(t.changes.length, 0);
    assert.deepEqual(
      t.leases.records(t.nowMs).map(({ address, remainingMs, seenAgoMs }) => [address, remainingMs, seenAgoMs]),
      [
        [NETWORK + 8, 10_000, 5000],
        [NETWORK + 10, 0, 5000],
        [NETWORK + 11, Number.POSITIVE_INFINITY, 5000],
      ],
    );
    assert.deepEqual(facts(t.ask({ type: DHCP_DISCOVER })), [DHCP_OFFER, NETWORK + 8]);
    t.advance(10_004);
    assert.deepEqual(
      t.changes.map(({ kind, lease }) => [kind, lease.address, lease.hostName]),
      [['ended', NETWORK + 8, 'db']],
    );
    assert.deepEqual(facts(t.ask({ type: DHCP_DISCOVER })), [DHCP_OFFER, NETWORK + 8]);
  });
});

describe('DhcpServer: RFC 2131 §4.1, where answers go', () => {
  it('to the client itself, to its address, or to all', () => {
    const t = new DhcpBench();
    assert.deepEqual(destination(t.ask({ type: DHCP_DISCOVER })), [NETWORK + 3, 68, MAC]);
    assert.deepEqual(destination(t.ask({ type: DHCP_DISCOVER, broadcast: true })), [ALL, 68, ALL_MACS]);
    assert.deepEqual(destination(t.ask({ type: DHCP_REQUEST, ciaddr: NETWORK + 3, broadcast: true })), [
      NETWORK + 3,
      68,
      MAC,
    ]);
    assert.deepEqual(destination(t.ask({ type: DHCP_REQUEST, wanted: 0x0a000005 })), [ALL, 68, ALL_MACS]);
  });

  it('to the relay that brought the question, with what it added at the very end (RFC 3046 §2.2)', () => {
    const t = new DhcpBench();
    const relay = hex('0104 65746831 0202 0909');
    const asked = { giaddr: NETWORK + 200, hops: 1, relay, mac: MAC };
    const server = t.server;
    const bytes = messageOf({ ...asked, type: DHCP_DISCOVER, list: [3, 6, 12] });
    server.receive(bytes, 0, bytes.length, { place: 2, mac: 0x02000000aaaa, source: 0 });
    const [offer] = t.take();
    assert.deepEqual(destination(offer), [NETWORK + 200, 67, 0x02000000aaaa]);
    assert.equal(offer?.message.giaddr, NETWORK + 200);
    assert.deepEqual(offer?.message.relayInformation, relay);
    assert.equal(offer?.codes.at(-1), 82);
    const nak = t.ask({ ...asked, type: DHCP_REQUEST, wanted: 0x0a000005 });
    assert.deepEqual([nak?.message.broadcast, nak?.codes], [true, [53, 54, 56, 82]]);
  });

  it('to no relay of another subnet, of our own address or after too many hops', () => {
    const t = new DhcpBench();
    for (const giaddr of [0x0a000001, GATEWAY, NETWORK + 255]) t.ask({ type: DHCP_DISCOVER, giaddr });
    t.ask({ type: DHCP_DISCOVER, giaddr: NETWORK + 200, hops: 17 });
    assert.deepEqual(t.counters.snapshot(), { 'dhcp-relay-of-another-subnet': 3, 'dhcp-too-many-hops': 1 });
    assert.deepEqual(t.take(), []);
  });
});

describe('DhcpServer: reservations', () => {
  const id = Uint8Array.of(0, 0x64, 0x62);
  const reservations = [
    { mac: MAC, address: NETWORK + 30, name: 'web' },
    { clientKey: 'id-006462', address: NETWORK + 31, name: 'db' },
    { mac: 8, name: 'named' },
  ];

  it('come by client identifier, then by MAC, with their name', () => {
    const t = new DhcpBench({ reservations });
    assert.equal(t.join({ id }), NETWORK + 31);
    assert.equal(t.join({ hostName: 'other' }), NETWORK + 30);
    assert.equal(t.join({ mac: 8 }), NETWORK + 3);
    assert.deepEqual(
      t.leases.list().map(({ hostName }) => hostName),
      ['named', 'web', 'db'],
    );
    assert.equal(t.ask({ type: DHCP_DISCOVER, id, list: [12] })?.message.hostName, 'db');
    assert.equal(t.ask({ type: DHCP_DISCOVER, mac: 9, hostName: 'x', list: [12] })?.message.hostName, undefined);
  });

  it('are for no one else, and their client gets nothing else', () => {
    const t = new DhcpBench({ reservations });
    assert.deepEqual(facts(t.ask({ type: DHCP_REQUEST, mac: 9, wanted: NETWORK + 30 })), [DHCP_NAK, 0]);
    assert.deepEqual(facts(t.ask({ type: DHCP_REQUEST, wanted: NETWORK + 3 })), [DHCP_NAK, 0]);
    assert.deepEqual(facts(t.ask({ type: DHCP_DISCOVER, wanted: NETWORK + 3 })), [DHCP_OFFER, NETWORK + 30]);
  });

  it('hold for a machine whose firmware and system name themselves differently', () => {
    const t = new DhcpBench({ reservations });
    assert.equal(t.join({}), NETWORK + 30);
    assert.equal(t.join({ id: Uint8Array.of(255, 1, 2, 3) }), NETWORK + 30);
    assert.deepEqual(
      t.changes.map(({ kind }) => kind),
      ['bound', 'ended', 'bound'],
    );
  });

  it('change while the network runs, and keep their name', () => {
    const t = new DhcpBench({ reservations });
    t.leases.reservations.add({ mac: MAC, address: NETWORK + 40 });
    assert.equal(t.join({}), NETWORK + 40);
    assert.equal(t.leases.at(NETWORK + 40)?.hostName, 'web');
    assert.equal(t.join({ mac: 9, wanted: NETWORK + 30 }), NETWORK + 30);
  });

  it('may lie outside the range', () => {
    const t = new DhcpBench({ reservations, range: { first: NETWORK + 100, last: NETWORK + 200 } });
    assert.equal(t.join({}), NETWORK + 30);
  });
});

describe('DhcpServer: what is not served', () => {
  it('is counted', () => {
    const t = new DhcpBench();
    const bootp: Asked = {};
    for (const asked of [bootp, { type: DHCP_DISCOVER, mac: ALL_MACS }, { type: DHCP_OFFER }, { type: 200 }]) {
      assert.equal(t.ask(asked), undefined);
    }
    t.ask({ type: DHCP_DISCOVER, id: new Uint8Array(300) });
    const reply = messageOf({ type: DHCP_DISCOVER });
    reply[0] = BOOT_REPLY;
    t.askBytes(reply);
    assert.deepEqual(t.counters.snapshot(), {
      'dhcp-bad-mac': 1,
      'dhcp-bad-message-type': 2,
      'dhcp-bootp': 1,
      'dhcp-identifier-too-long': 1,
      'dhcp-not-a-request': 1,
    });
  });

  it('includes names that could not stand in DNS; of a full one the first label is kept', () => {
    const names = ['../etc\n', '-x', 'a b', '', 'web.example.com', 'x'.repeat(64), 'Box-7'];
    const kept = names.map((hostName) => {
      const t = new DhcpBench();
      t.ask({ type: DHCP_REQUEST, wanted: NETWORK + 3, hostName });
      return t.leases.list()[0]?.hostName;
    });
    assert.deepEqual(kept, ['', '', '', '', 'web', '', 'Box-7']);
  });

  it('never makes it throw: random bytes, random options, random order', () => {
    const option = fc.tuple(
      fc.oneof(fc.constantFrom(12, 50, 51, 52, 53, 54, 55, 57, 61, 81, 82), fc.nat(255)),
      fc.uint8Array({ maxLength: 12 }),
    );
    const message = fc.record({
      type: fc.integer({ min: 1, max: 9 }),
      ciaddr: fc.constantFrom(0, NETWORK + 3, NETWORK + 4, 0x0a000001),
      giaddr: fc.constantFrom(0, 0, 0, NETWORK + 9),
      mac: fc.integer({ min: 1, max: 5 }),
      options: fc.array(option, { maxLength: 12 }),
      tail: fc.uint8Array({ maxLength: 20 }),
      waitMs: fc.constantFrom(0, 0, 200, 70_000, 4_000_000),
    });
    fc.assert(
      fc.property(fc.array(message, { maxLength: 12 }), (messages) => {
        const t = new DhcpBench({ probe: true, searchDomains: ['a.test', 'b.a.test'] }, 28);
        for (const { type, ciaddr, giaddr, mac, options, tail, waitMs } of messages) {
          const soup = options.flatMap(([code, value]) => [code, value.length, ...value]);
          const fixed = messageOf({ type, ciaddr, giaddr, mac }).subarray(0, 243);
          t.askBytes(Uint8Array.from([...fixed, ...soup, ...tail]), { place: mac & 1, mac, source: 0 });
          t.advance(waitMs);
          for (const { bytes } of t.take()) assert.ok(bytes.length >= 300 && bytes.length <= 1472);
        }
        t.advance(5000);
        assert.equal(t.server.probing, 0);
      }),
      { numRuns: 300 },
    );
  });
});

describe('DhcpServer: what real clients send', () => {
  const OF_CLIENTS = {
    'busybox udhcpc 1.35': '350101 3902 0240 3707 0103060c0f1c2a 3c0c 756468637020312e33352e30 3d07 015a94ef000005 ff',
    'isc-dhcp-client 4.4.3': '350101 3707 011c02030f060c ff',
    'dhcpcd 9.4.1':
      '350101 3707 01031c21333a3b 3902 05c0 3c36 6468637063642d392e342e313a4c696e75782d362e31382e34342d66632d763635373a7838365f36343a47656e75696e65496e74656c 910101 ff',
  };
  const ORDER = {
    'busybox udhcpc 1.35': [53, 54, 51, 58, 59, 61, 1, 3, 6, 15, 28],
    'isc-dhcp-client 4.4.3': [53, 54, 51, 58, 59, 1, 28, 3, 15, 6],
    'dhcpcd 9.4.1': [53, 54, 51, 58, 59, 1, 3, 28],
  };
  for (const [name, options] of Object.entries(OF_CLIENTS)) {
    it(`${name} gets what it asks for in its order`, () => {
      const t = new DhcpBench({ domainName: 'lan' });
      const fixed = messageOf({ type: DHCP_DISCOVER, mac: 0x5a94ef000005 }).subarray(0, 240);
      const offer = t.askBytes(Uint8Array.from([...fixed, ...hex(options)]));
      assert.deepEqual(facts(offer), [DHCP_OFFER, NETWORK + 3]);
      assert.deepEqual(offer?.codes, ORDER[name as keyof typeof ORDER]);
      assert.equal(t.leases.list()[0]?.client.key, '5a94ef000005');
    });
  }
});

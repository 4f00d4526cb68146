import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MAX_PROBES_PER_PLACE, PROBE_MS } from '../../src/dhcp/conflict-probes.ts';
import { DHCP_ACK, DHCP_DISCOVER, DHCP_NAK, DHCP_OFFER, DHCP_RELEASE, DHCP_REQUEST } from '../../src/wire/dhcpv4.ts';
import { DhcpBench, GATEWAY, MAC, NETWORK } from './dhcp-bench.ts';

const AWAY = { mac: 0x02000000aaaa, port: { id: 7 } };
const VERDICT_MS = PROBE_MS + 8;

describe('a conflict probe', () => {
  it('comes before an address is offered to someone new, and the offer after it', () => {
    const t = new DhcpBench({ probe: true });
    assert.equal(t.ask({ type: DHCP_DISCOVER }), undefined);
    t.advance(PROBE_MS - 10);
    assert.deepEqual(t.take(), []);
    t.advance(20);
    assert.deepEqual(
      t.take().map(({ reply }) => reply.yiaddr),
      [NETWORK + 3],
    );
    assert.deepEqual(t.probed, [NETWORK + 3, NETWORK + 3]);
    const ack = t.ask({ type: DHCP_REQUEST, wanted: NETWORK + 3, server: GATEWAY });
    assert.equal(ack?.reply.messageType, DHCP_ACK);
  });

  it('is not repeated for a client that asks again, and answers its last message', () => {
    const t = new DhcpBench({ probe: true });
    t.ask({ type: DHCP_DISCOVER, xid: 1 });
    t.advance(100);
    t.ask({ type: DHCP_DISCOVER, xid: 2 });
    assert.equal(t.server.probing, 1);
    t.advance(VERDICT_MS - 100);
    assert.deepEqual(
      t.take().map(({ message }) => message.xid),
      [2],
    );
    assert.equal(t.probed.length, 2);
  });

  it('that someone answers puts the address out of use, and the next is tried', () => {
    const t = new DhcpBench({ probe: true });
    t.stations.set(NETWORK + 3, AWAY);
    t.ask({ type: DHCP_DISCOVER });
    t.advance(2 * VERDICT_MS);
    assert.deepEqual(
      t.take().map(({ reply }) => reply.yiaddr),
      [NETWORK + 4],
    );
    assert.equal(t.leases.at(NETWORK + 3)?.state, 'declined');
    assert.equal(t.counters.get('dhcp-probe-conflict'), 1);
    t.advance(700_000);
    assert.equal(t.leases.at(NETWORK + 3), undefined);
  });

  it('that the client itself answers finds nothing', () => {
    const t = new DhcpBench({ probe: true });
    t.stations.set(NETWORK + 3, { mac: MAC, port: { id: 1 } });
    assert.equal(t.join({}), NETWORK + 3);
  });

  it('is left out when the client already speaks from the address', () => {
    const t = new DhcpBench({ probe: true });
    t.heard.set(NETWORK + 9, { mac: MAC, port: { id: 1 }, seenMs: t.nowMs });
    assert.equal(t.ask({ type: DHCP_REQUEST, ciaddr: NETWORK + 9 })?.reply.messageType, DHCP_ACK);
    assert.deepEqual(t.probed, []);
  });

  it('is left out for what the client holds, what is reserved for it, and what it had while it is alone', () => {
    const t = new DhcpBench({ probe: true, reservations: [{ mac: 9, address: NETWORK + 9 }] });
    t.join({});
    t.probed.length = 0;
    assert.ok(t.ask({ type: DHCP_DISCOVER }));
    assert.ok(t.ask({ type: DHCP_REQUEST, wanted: NETWORK + 3 }));
    assert.ok(t.ask({ type: DHCP_DISCOVER, mac: 9 }));
    t.ask({ type: DHCP_RELEASE, ciaddr: NETWORK + 3, server: GATEWAY });
    t.others = false;
    assert.ok(t.ask({ type: DHCP_REQUEST, wanted: NETWORK + 3 }));
    t.ask({ type: DHCP_RELEASE, ciaddr: NETWORK + 3, server: GATEWAY });
    t.others = true;
    assert.equal(t.ask({ type: DHCP_REQUEST, wanted: NETWORK + 3 }), undefined);
    assert.deepEqual(t.probed, [NETWORK + 3]);
  });

  it('comes before an ACK as well: a NAK when someone is there', () => {
    const t = new DhcpBench({ probe: true });
    t.stations.set(NETWORK + 9, AWAY);
    for (const wanted of [NETWORK + 8, NETWORK + 9])
      assert.equal(t.ask({ type: DHCP_REQUEST, wanted, mac: wanted }), undefined);
    t.advance(VERDICT_MS);
    const types = t.take().map(({ reply }) => [reply.messageType, reply.yiaddr]);
    assert.deepEqual(types, [
      [DHCP_ACK, NETWORK + 8],
      [DHCP_NAK, 0],
    ]);
  });

  it('gives up after some addresses that are all taken', () => {
    const t = new DhcpBench({ probe: true });
    for (let i = 3; i < 20; i++) t.stations.set(NETWORK + i, { ...AWAY, mac: AWAY.mac + i });
    t.ask({ type: DHCP_DISCOVER });
    t.advance(10 * VERDICT_MS);
    assert.deepEqual(t.take(), []);
    assert.equal(t.counters.get('dhcp-probe-gave-up'), 1);
    t.ask({ type: DHCP_DISCOVER });
    t.advance(PROBE_MS / 2);
    assert.equal(t.probed.at(-1), NETWORK + 7);
  });

  it('ends for nothing when the client whose address it was comes back', () => {
    const t = new DhcpBench({ probe: true, range: { first: NETWORK + 3, last: NETWORK + 3 } });
    t.join({});
    t.ask({ type: DHCP_RELEASE, ciaddr: NETWORK + 3, server: GATEWAY });
    t.ask({ type: DHCP_DISCOVER, mac: 9, place: 2 });
    assert.equal(t.server.probing, 1);
    assert.equal(t.ask({ type: DHCP_DISCOVER }), undefined);
    t.advance(VERDICT_MS);
    assert.deepEqual(
      t.take().map(({ reply }) => [reply.messageType, reply.request.client.mac]),
      [[DHCP_OFFER, MAC]],
    );
  });

  it('is for one client only, however many ask at once', () => {
    const t = new DhcpBench({ probe: true });
    for (let mac = 1; mac <= 20; mac++) t.ask({ type: DHCP_DISCOVER, mac });
    t.advance(VERDICT_MS);
    const offered = t.take().map(({ reply }) => reply.yiaddr);
    assert.equal(new Set(offered).size, 20);
  });

  it('keeps its address from others meanwhile: from who asks for it, and from who has it reserved since', () => {
    const t = new DhcpBench({ probe: true });
    t.ask({ type: DHCP_DISCOVER });
    assert.equal(t.ask({ type: DHCP_REQUEST, mac: 9, wanted: NETWORK + 3 })?.reply.messageType, DHCP_NAK);
    t.leases.reservations.add({ mac: 10, address: NETWORK + 3 });
    t.advance(VERDICT_MS);
    assert.deepEqual(t.take(), []);
    assert.equal(t.join({}), NETWORK + 4);
  });

  it('is bounded for each port, so that the others are served', () => {
    const t = new DhcpBench({ probe: true });
    for (let mac = 1; mac <= 500; mac++) t.ask({ type: DHCP_DISCOVER, mac, place: 1 });
    assert.equal(t.server.probing, MAX_PROBES_PER_PLACE);
    assert.equal(t.counters.get('dhcp-probe-limit'), 500 - MAX_PROBES_PER_PLACE);
    assert.ok(t.join({ mac: 1000, place: 2 }));
  });

  it('leaves nothing behind when the server is closed', () => {
    const t = new DhcpBench({ probe: true });
    t.ask({ type: DHCP_DISCOVER });
    t.server.close();
    t.advance(10_000);
    assert.deepEqual(t.take(), []);
    assert.equal(t.turn.timers.waitMs(100_000), 100_000);
  });
});

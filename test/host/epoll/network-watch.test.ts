import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { FAILED, type HostStream, LOOPBACK4, WOULD_BLOCK } from '../../../src/env/host.ts';
import * as libc from '../../../src/host/epoll/libc.ts';
import { inNamespace, nsExec } from '../../support/namespace.ts';
import { needs, needsRoot } from '../../support/needs.ts';
import { createTwoUplinks, type TwoUplinks } from '../../support/two-uplinks.ts';
import { createEpollHarness, type EpollHarness } from './harness.ts';
import { ascii, pattern, pieces, RawServer, Reader, StreamRecorder } from './peer.ts';

/** The server's address behind the first uplink, and behind the second. */
const BEHIND_FIRST = 0x0a010002;
const BEHIND_SECOND = 0x0a020002;
/** Nobody: a dial there waits for an answer to ARP. */
const NOBODY = 0x0a010063;

interface Flow {
  readonly recorder: StreamRecorder;
  readonly stream: HostStream;
  /** The server's end. */
  readonly peer: number;
}

/** The engine on a computer with two uplinks, and a server. */
class World {
  readonly uplinks: TwoUplinks;
  readonly harness: EpollHarness;
  readonly server: RawServer;
  changes = 0;
  readonly #peers: number[] = [];

  constructor(t: TestContext, keepAliveSeconds = 0) {
    this.uplinks = createTwoUplinks(t);
    const { home, away } = this.uplinks;
    this.harness = inNamespace(home, () => createEpollHarness({ services: new Map(), keepAliveSeconds }));
    this.server = inNamespace(away, () => new RawServer(this.harness, 0));
    this.harness.host.onNetworkChange = () => {
      this.changes++;
    };
    t.after(() => {
      for (const fd of this.#peers) libc.close(fd);
      this.server.close();
      return this.harness.close();
    });
  }

  dial(address: number): Omit<Flow, 'peer'> {
    const recorder = new StreamRecorder();
    const stream = inNamespace(this.uplinks.home, () => this.harness.host.dial(address, this.server.port, 0, recorder));
    assert.ok(typeof stream !== 'string', `dial failed at once: ${stream}`);
    return { recorder, stream };
  }

  async connect(address: number): Promise<Flow> {
    const { recorder, stream } = this.dial(address);
    await this.harness.until(() => recorder.isConnected, 'the dial to succeed');
    let peer = -1;
    await this.harness.until(() => {
      peer = this.server.acceptIfThere();
      return peer >= 0;
    }, 'the server to accept');
    this.#peers.push(peer);
    return { recorder, stream, peer };
  }

  /** Sends a word each way. */
  async assertWorks({ stream, peer }: Flow): Promise<void> {
    const at = this.harness.arena.allocate(64);
    this.harness.arena.bytes.set(ascii('there'), at);
    assert.equal(stream.write(pieces([at, 5])), 5);
    let there: Uint8Array | string = '';
    await this.harness.until(() => {
      there = this.server.receive(peer);
      return typeof there !== 'string';
    }, 'the server to hear');
    assert.equal(String(Buffer.from(there)), 'there');
    this.server.send(peer, ascii('back'));
    const reader = new Reader(this.harness, stream);
    await this.harness.until(() => {
      reader.read();
      return reader.bytes.length > 0 || reader.last === FAILED;
    }, 'the answer');
    assert.equal(String(reader.bytes), 'back');
  }
}

function canChangeNetworks(t: TestContext): boolean {
  return needsRoot(t) && needs(t, 'ip', 'nsenter');
}

/** As long as an address may be away. */
const GRACE_MS = 10_000;

describe('when the host’s network changes', () => {
  it('a flow whose address stays away fails after ten seconds, behind what had arrived', async (t) => {
    if (!canChangeNetworks(t)) return;
    const net = new World(t);
    const doomed = await net.connect(BEHIND_FIRST);
    const other = await net.connect(BEHIND_SECOND);
    net.server.send(doomed.peer, ascii('last words'));
    await net.harness.until(() => doomed.recorder.readableCalls > 0, 'the last words');
    const { readableCalls, writableCalls } = doomed.recorder;
    net.uplinks.ip('address', 'del', '10.1.0.1/24', 'dev', 'up1');
    net.harness.pass(0);
    net.harness.pass(GRACE_MS / 2);
    assert.equal(doomed.stream.error, undefined, 'it may come back');
    net.harness.pass(GRACE_MS / 2 + 10);
    assert.equal(doomed.stream.error, 'ENETDOWN');
    assert.ok(doomed.recorder.readableCalls > readableCalls && doomed.recorder.writableCalls > writableCalls);
    assert.equal(doomed.stream.write(pieces([net.harness.arena.allocate(16), 16])), FAILED);
    const reader = new Reader(net.harness, doomed.stream);
    reader.read();
    assert.deepEqual([String(reader.bytes), reader.last], ['last words', FAILED]);
    doomed.stream.close();
    assert.equal(other.stream.error, undefined, 'the flow on the other address is not touched');
    await net.assertWorks(other);
    assert.equal(net.harness.counters.get('host-address-lost'), 1);
    assert.equal(net.harness.counters.get('host-network-changed'), net.changes);
    assert.ok(net.changes >= 1);
  });

  it('new flows work at once by the uplink that is left', async (t) => {
    if (!canChangeNetworks(t)) return;
    const net = new World(t);
    net.uplinks.ip('address', 'del', '10.1.0.1/24', 'dev', 'up1');
    await net.assertWorks(await net.connect(BEHIND_FIRST));
  });

  it('a dial from an address that was removed fails, and not as refused or unreachable', async (t) => {
    if (!canChangeNetworks(t)) return;
    const net = new World(t);
    const { recorder } = net.dial(NOBODY);
    net.uplinks.ip('address', 'del', '10.1.0.1/24', 'dev', 'up1');
    net.harness.poller.wait(0);
    assert.equal(recorder.failure, 'EADDRNOTAVAIL');
  });

  it('a link that stays down ends its flows after ten seconds, and counts again when it is back', async (t) => {
    if (!canChangeNetworks(t)) return;
    const net = new World(t);
    const first = await net.connect(BEHIND_FIRST);
    net.uplinks.ip('link', 'set', 'up1', 'down');
    net.harness.poller.wait(0);
    assert.equal(first.stream.error, undefined);
    net.harness.pass(GRACE_MS + 10);
    assert.equal(first.stream.error, 'ENETDOWN');
    net.uplinks.ip('link', 'set', 'up1', 'up');
    const second = await net.connect(BEHIND_FIRST);
    await net.assertWorks(second);
    net.uplinks.ip('address', 'del', '10.1.0.1/24', 'dev', 'up1');
    net.harness.poller.wait(0);
    net.harness.pass(GRACE_MS + 10);
    assert.equal(second.stream.error, 'ENETDOWN');
  });

  for (const [what, away, back] of [
    ['an address', ['address', 'del', '10.1.0.1/24', 'dev', 'up1'], ['address', 'add', '10.1.0.1/24', 'dev', 'up1']],
    ['a link', ['link', 'set', 'up1', 'down'], ['link', 'set', 'up1', 'up']],
  ] as const) {
    it(`${what} that comes back within ten seconds costs no flow, however often`, async (t) => {
      if (!canChangeNetworks(t)) return;
      const net = new World(t);
      const flow = await net.connect(BEHIND_FIRST);
      for (let i = 0; i < 3; i++) {
        net.uplinks.ip(...away);
        net.harness.pass(0);
        net.harness.pass(GRACE_MS - 3000);
        assert.equal(flow.stream.error, undefined);
        net.uplinks.ip(...back);
        net.harness.pass(0);
        net.harness.pass(GRACE_MS * 2);
        assert.equal(flow.stream.error, undefined);
      }
      await net.assertWorks(flow);
      assert.equal(net.harness.counters.get('host-address-lost'), 0);
    });
  }

  it('an address that is given back at once costs no flow', async (t) => {
    if (!canChangeNetworks(t)) return;
    const net = new World(t);
    const flow = await net.connect(BEHIND_FIRST);
    net.uplinks.ip('address', 'del', '10.1.0.1/24', 'dev', 'up1');
    net.uplinks.ip('address', 'add', '10.1.0.1/24', 'dev', 'up1');
    await net.assertWorks(flow);
  });

  it('a route that comes or goes is a change that ends nothing', async (t) => {
    if (!canChangeNetworks(t)) return;
    const net = new World(t);
    const flow = await net.connect(BEHIND_FIRST);
    const before = net.changes;
    net.uplinks.ip('route', 'add', '10.77.0.0/16', 'via', '10.1.0.2');
    net.harness.poller.wait(0);
    assert.equal(net.changes, before + 1);
    await net.assertWorks(flow);
  });

  it('news that did not fit are made up for by a list', async (t) => {
    if (!canChangeNetworks(t)) return;
    const net = new World(t);
    const flow = await net.connect(BEHIND_FIRST);
    const other = await net.connect(BEHIND_SECOND);
    const add = 'i=0; while [ $i -lt 3000 ]; do echo "route add 10.99.$((i/256)).$((i%256)) dev up2"; i=$((i+1)); done';
    nsExec(net.uplinks.home, 'sh', '-c', `${add} | sed '$a address del 10.1.0.1/24 dev up1' | ip -batch -`);
    net.harness.poller.wait(0);
    assert.ok(net.harness.counters.get('host-network-news-lost') > 0, 'the socket overran');
    net.harness.pass(GRACE_MS + 10);
    assert.equal(flow.stream.error, 'ENETDOWN');
    await net.assertWorks(other);
  });
});

describe('a peer that answers nothing', () => {
  it('ends what it owes an answer, whichever side lost its route', async (t) => {
    if (!canChangeNetworks(t)) return;
    const net = new World(t, 1);
    const flows = [await net.connect(BEHIND_FIRST), await net.connect(BEHIND_SECOND)];
    net.uplinks.ip('route', 'del', 'default');
    net.uplinks.ip('route', 'del', '10.1.0.0/24');
    nsExec(net.uplinks.away, 'ip', 'route', 'add', 'blackhole', '10.2.0.1/32');
    const at = net.harness.arena.allocate(16);
    for (const { stream } of flows) assert.equal(stream.write(pieces([at, 16])), 16);
    await net.harness.until(() => flows.every(({ stream }) => stream.error !== undefined), 'both to be given up');
    assert.deepEqual(
      flows.map(({ stream }) => stream.error),
      ['ETIMEDOUT', 'ETIMEDOUT'],
    );
    assert.equal(net.harness.counters.get('host-peer-silent'), 2);
  });

  it('is not one that stopped reading: its window may stay closed for ever', async (t) => {
    const harness = createEpollHarness({ services: new Map(), keepAliveSeconds: 1 });
    const server = new RawServer(harness);
    const recorder = new StreamRecorder();
    const stream = harness.host.dial(LOOPBACK4, server.port, 0, recorder);
    assert.ok(typeof stream !== 'string');
    t.after(() => {
      server.close();
      return harness.close();
    });
    await harness.until(() => recorder.isConnected, 'the dial to succeed');
    const peer = server.accept();
    t.after(() => void libc.close(peer));
    const bytes = pattern(2 ** 16);
    const at = harness.arena.allocate(bytes.length);
    harness.arena.bytes.set(bytes, at);
    let sent = 0;
    const [flow] = harness.descriptors.list('flow');
    await harness.until(() => {
      sent += Math.max(0, stream.write(pieces([at + (sent % bytes.length), bytes.length - (sent % bytes.length)])));
      // Doubled four times: more than a second lies between two probes of the window, and between their answers.
      return harness.arena.view.getUint8(harness.memory.tcpInfo(flow as number) + 4) >= 4;
    }, 'the window to be probed more slowly than peers may be silent');
    assert.equal(stream.error, undefined);
    assert.equal(stream.peekInto(0, at, 16, 16, 1), WOULD_BLOCK);
    let received = 0;
    await harness.until(() => {
      const some = server.receive(peer);
      if (typeof some === 'string') return received === sent;
      for (let i = 0; i < some.length; i += 4093) assert.equal(some[i], bytes[(received + i) % bytes.length]);
      received += some.length;
      return received === sent;
    }, 'all that was sent to be read');
  });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  MUX_CLOSE,
  MUX_DATA,
  MUX_OPEN,
  MUX_SHUTDOWN,
  MUX_WINDOW,
  muxBare,
  muxData,
  muxOpen,
  muxWindow,
  parseMuxFrame,
} from '../../src/wire/mux-frame.ts';
import { MuxPair, MuxSide, testSecret, WEB } from '../support/mux-pair.ts';

const VPNKIT = Buffer.from('https://github.com/moby/vpnkit multiplexer protocol\n\0\0', 'latin1');

/** One end, greeted by a vpnkit, and the words of what it sends after its own greeting. */
function facingVpnkit(side: 'accepted' | 'connected' = 'connected'): { end: MuxSide; frames: () => string[] } {
  const end = new MuxSide({ side });
  end.take();
  end.mux.receive(VPNKIT, 0);
  return { end, frames: () => frameWords(end.take()) };
}

/** What `pieces` say, as `open 4294967295`; the octets of a Data frame follow it as text. */
function frameWords(pieces: readonly Uint8Array[]): string[] {
  const names = { [MUX_OPEN]: 'open', [MUX_CLOSE]: 'close', [MUX_SHUTDOWN]: 'shutdown' } as Record<number, string>;
  const words: string[] = [];
  for (let i = 0; i < pieces.length; i++) {
    const frame = parseMuxFrame(pieces[i]!, 0, pieces[i]!.length);
    assert.ok(typeof frame !== 'string', String(frame));
    if (frame.command === MUX_DATA) words.push(`data ${frame.channel} ${Buffer.from(pieces[++i]!).toString()}`);
    else if (frame.command === MUX_WINDOW) words.push(`window ${frame.channel} ${frame.end}`);
    else words.push(`${names[frame.command] ?? `command ${frame.command}`} ${frame.channel}`);
  }
  return words;
}

test('a channel carries both directions, cut anywhere, and ends by itself when both have ended', () => {
  for (const piece of [1, 7, 4096]) {
    const { host, guest } = new MuxPair();
    const pair = new MuxPair();
    pair.settle(piece);
    const client = pair.host.open();
    client.channel.write(Buffer.from('GET / HTTP/1.0\r\n\r\n'));
    client.channel.shutdown();
    pair.settle(piece);
    const server = pair.guest.accepted[0]!;
    assert.deepEqual(server.channel.destination, WEB);
    assert.equal(server.bytes.toString(), 'GET / HTTP/1.0\r\n\r\n');
    assert.ok(server.ended && !client.ended);
    server.channel.write(Buffer.alloc(300_000, 'x'));
    server.channel.shutdown();
    pair.settle(piece);
    assert.equal(client.bytes.length, 300_000);
    assert.deepEqual([client.closedBy, server.closedBy], [{ how: 'finished' }, { how: 'finished' }]);
    assert.deepEqual([pair.host.mux.channels, pair.guest.mux.channels], [0, 0]);
    assert.ok(host.mux.channels === 0 && guest.mux.channels === 0);
  }
});

test('who accepted the carrier counts up from 0, who connected it down from the last id', () => {
  const pair = new MuxPair().settle();
  assert.deepEqual([pair.host.open().channel.id, pair.host.open().channel.id], [0xffff_ffff, 0xffff_fffe]);
  assert.deepEqual([pair.guest.open().channel.id, pair.guest.open().channel.id], [0, 1]);
});

test('with vpnkit: a request is answered in the order of frames that vpnkit itself was seen to use', () => {
  const { end, frames } = facingVpnkit();
  assert.equal(end.ready, false);
  const client = end.open();
  assert.deepEqual(frames(), ['open 4294967295', 'window 4294967295 65536']);
  client.channel.write(Buffer.from('GET'));
  assert.deepEqual(frames(), [], 'nothing is sent before the peer gave a window');
  end.mux.receive(muxWindow(0xffff_ffff, 65_536), 0);
  assert.deepEqual(frames(), ['data 4294967295 GET']);
  client.channel.shutdown();
  assert.deepEqual(frames(), ['shutdown 4294967295']);
  end.mux.receive(Buffer.concat([muxData(0xffff_ffff, 2), Buffer.from('ok'), muxBare(MUX_SHUTDOWN, 0xffff_ffff)]), 0);
  assert.deepEqual(frames(), ['close 4294967295']);
  assert.equal(end.mux.channels, 1, 'the id lives until the peer has closed, too');
  end.mux.receive(muxBare(MUX_CLOSE, 0xffff_ffff), 0);
  assert.equal(end.mux.channels, 0);
  assert.deepEqual([client.bytes.toString(), client.closedBy], ['ok', { how: 'finished' }]);
});

test('with vpnkit: none of our own frames is ever sent', () => {
  const { end, frames } = facingVpnkit('accepted');
  end.mux.tick(3_600_000);
  end.mux.receive(muxOpen(5, WEB), 3_600_000);
  end.accepted[0]!.channel.abort('refused', 'nothing listens');
  assert.deepEqual(frames(), ['window 5 65536', 'close 5']);
  assert.equal(end.end, undefined);
});

test('a dial that failed says why, and is not an end of file', () => {
  const pair = new MuxPair().settle();
  pair.guest.accepts = false;
  const client = pair.host.open();
  pair.settle();
  pair.guest.accepted[0]!.channel.abort('refused', 'nothing listens at 172.17.0.2:80');
  pair.settle();
  assert.deepEqual(client.closedBy, {
    how: 'closed-by-peer',
    reason: 'refused',
    text: 'nothing listens at 172.17.0.2:80',
  });
  assert.equal(client.ended, false);
  assert.equal(pair.guest.mux.channels, 0);
});

test('a reader that stops holds back its own channel only', () => {
  const pair = new MuxPair().settle();
  const slow = pair.host.open();
  const quick = pair.host.open();
  pair.settle();
  pair.guest.accepted[0]!.reads = false;
  assert.equal(slow.channel.write(Buffer.alloc(200_000)), false);
  quick.channel.write(Buffer.from('quick'));
  pair.settle();
  assert.equal(pair.guest.accepted[0]!.bytes.length, 65_536);
  assert.equal(pair.guest.accepted[1]!.bytes.toString(), 'quick');
  assert.equal(slow.channel.queuedBytes, 200_000 - 65_536);
  assert.equal(slow.wakes, 0);
  for (let i = 0; i < 2; i++) {
    pair.guest.accepted[0]!.channel.consumed(65_536);
    pair.settle();
  }
  assert.equal(slow.wakes, 1, 'there is room again once half of what waited has left');
});

test('a bulk channel waits its turn behind each of the others', () => {
  const pair = new MuxPair({ host: { windowBytes: 1 << 24 }, guest: { windowBytes: 1 << 24 } }).settle();
  const bulk = pair.host.open();
  const small = [pair.host.open(), pair.host.open(), pair.host.open()];
  pair.settle();
  pair.host.stalled = true;
  for (let i = 0; i < 64; i++) bulk.channel.write(Buffer.alloc(128 * 1024));
  for (const stream of small) stream.channel.write(Buffer.from('now'));
  const heldBytes = pair.host.queuedBytes;
  assert.ok(
    heldBytes <= 256 * 1024 + 32 * 1024 + 64,
    `${heldBytes} octets of a bulk channel lie in front of the others`,
  );
  pair.host.take();
  pair.host.mux.resume();
  const order: number[] = [];
  for (let i = 0; i < pair.host.outgoing.length; i += 2) {
    const frame = parseMuxFrame(pair.host.outgoing[i]!, 0, pair.host.outgoing[i]!.length);
    if (typeof frame !== 'string') order.push(frame.channel);
  }
  const behind = small.map((stream) => order.indexOf(stream.channel.id));
  assert.ok(Math.max(...behind) <= 4, `the small channels come at ${behind}`);
});

test('a peer that sends more than its window loses that channel, and no other', () => {
  const { end, frames } = facingVpnkit('accepted');
  end.mux.receive(Buffer.concat([muxOpen(1, WEB), muxOpen(2, WEB)]), 0);
  frames();
  end.accepted[0]!.reads = false;
  end.mux.receive(Buffer.concat([muxData(1, 65_537), Buffer.alloc(65_537)]), 0);
  assert.deepEqual(frames(), ['close 1']);
  assert.equal(end.accepted[0]!.closedBy?.how, 'peer-broke-the-rules');
  end.mux.receive(Buffer.concat([muxData(1, 3), Buffer.from('abc'), muxData(2, 2), Buffer.from('ok')]), 0);
  assert.equal(end.accepted[1]!.bytes.toString(), 'ok');
  assert.equal(end.end, undefined);
});

test('an Open of a channel that is open ends it; its octets reach nobody else', () => {
  const { end, frames } = facingVpnkit('accepted');
  end.mux.receive(muxOpen(1, WEB), 0);
  frames();
  end.mux.receive(Buffer.concat([muxOpen(1, WEB), muxData(1, 3), Buffer.from('abc')]), 0);
  assert.deepEqual(frames(), ['close 1']);
  assert.equal(end.accepted.length, 1);
  assert.equal(end.accepted[0]!.bytes.length, 0);
});

test('frames for a channel that is gone are counted and dropped, a late Close too', () => {
  const { end } = facingVpnkit();
  const frames = [muxBare(MUX_CLOSE, 9), muxWindow(9, 7), muxData(9, 4), Buffer.from('lost'), muxBare(MUX_SHUTDOWN, 9)];
  end.mux.receive(Buffer.concat(frames), 0);
  assert.equal(end.mux.strayFrames, 4);
  assert.equal(end.end, undefined);
});

test('channels have a cap at each end, and the peer hears it', () => {
  const pair = new MuxPair({ guest: { maxChannels: 2 } }).settle();
  const streams = [pair.host.open(), pair.host.open(), pair.host.open()];
  pair.settle();
  assert.equal(pair.guest.accepted.length, 2);
  assert.deepEqual(streams[2]!.closedBy, { how: 'closed-by-peer', reason: 'too-many', text: '2 channels are open' });
  assert.equal(pair.guest.mux.channels, 2);
  assert.throws(() => pair.guest.open(), /opens no channel/);
});

test('a peer that opens channels without end, and closes none, is given up', () => {
  const { end } = facingVpnkit('accepted');
  for (let id = 0; id < 200; id++) end.mux.receive(muxOpen(id, WEB), 0);
  assert.deepEqual(end.end, { how: 'protocol', fault: 'mux-too-many-channels' });
});

test('a peer that only sends and never reads is given up before its answers fill the memory', () => {
  const end = new MuxSide({ side: 'accepted' });
  end.mux.receive(new MuxSide({ side: 'connected' }).outgoing[0]!, 0);
  const pings = Buffer.concat(Array.from({ length: 10_000 }, () => muxBare(0x40, 0)));
  for (let i = 0; i < 100 && end.end === undefined; i++) end.mux.receive(pings, 0);
  assert.deepEqual(end.end, { how: 'peer-does-not-read' });
});

test('a silent peer is asked for a sign, and given up when it gives none', () => {
  const pair = new MuxPair().settle();
  pair.pass(120_000);
  assert.deepEqual([pair.host.end, pair.guest.end], [undefined, undefined], 'an idle peer answers');
  const stream = pair.host.open();
  pair.settle();
  pair.guest.stalled = true;
  pair.pass(21_000);
  assert.deepEqual(pair.host.end, { how: 'peer-silent' });
  assert.deepEqual(stream.closedBy, { how: 'lost' });
  assert.ok(pair.host.wireClosed);
});

test('a carrier on which nobody greets is given up', () => {
  const end = new MuxSide({ side: 'accepted' });
  end.mux.tick(10_000);
  assert.deepEqual(end.end, { how: 'peer-silent' });
});

test('both ends prove that they know the secret before a channel opens', () => {
  const pair = new MuxPair({ host: { secret: testSecret(5, 0) }, guest: { secret: testSecret(5, 1) } });
  assert.equal(pair.host.mux.open(WEB), undefined);
  pair.settle();
  assert.deepEqual([pair.host.ready, pair.guest.ready], [true, true]);
  pair.host.open();
  pair.settle();
  assert.equal(pair.guest.accepted.length, 1);
});

test('neither a wrong secret, nor none, nor a vpnkit, nor the own proof sent back opens a channel', () => {
  const wrong = new MuxPair({ host: { secret: testSecret(5, 0) }, guest: { secret: testSecret(6, 1) } }).settle();
  assert.deepEqual([wrong.host.end?.how, wrong.guest.end?.how], ['not-authenticated', 'not-authenticated']);
  const none = new MuxPair({ host: { secret: testSecret(5, 0) } }).settle();
  none.guest.mux.open(WEB);
  none.settle();
  assert.equal(none.host.end?.how, 'not-authenticated');
  const old = new MuxSide({ side: 'accepted', secret: testSecret(5, 0) });
  old.mux.receive(VPNKIT, 0);
  assert.equal(old.end?.how, 'not-authenticated');
  const mirror = new MuxSide({ side: 'accepted', secret: testSecret(5, 0) });
  mirror.mux.receive(mirror.outgoing[0]!, 0);
  mirror.mux.receive(mirror.outgoing[1]!, 0);
  assert.equal(mirror.end?.how, 'not-authenticated');
});

test('garbage, at any place, ends the multiplexer with its fault, and every channel hears it', () => {
  for (const greeting of ['GET / HTTP/1.1\r\n', 'https://github.com/moby/vpnkit multiplexer protocol\n\xff\xff']) {
    const end = new MuxSide({ side: 'accepted' });
    end.mux.receive(Buffer.from(greeting, 'latin1'), 0);
    assert.deepEqual(end.end, { how: 'protocol', fault: 'mux-bad-greeting' });
  }
  const { end } = facingVpnkit();
  const stream = end.open();
  end.mux.receive(Buffer.from('0700ff00000000', 'hex'), 0);
  assert.deepEqual(end.end, { how: 'protocol', fault: 'mux-unknown-command' });
  assert.deepEqual(stream.closedBy, { how: 'lost' });
  end.mux.receive(VPNKIT, 0);
  assert.equal(end.mux.channels, 0, 'what comes after the end is not read');
});

test('an aborted channel throws away what waits, and says nothing more to its user', () => {
  const pair = new MuxPair().settle();
  const stream = pair.host.open();
  pair.settle();
  pair.guest.accepted[0]!.channel.write(Buffer.from('late'));
  stream.channel.abort('reset');
  pair.settle();
  assert.deepEqual([stream.bytes.length, stream.closedBy], [0, undefined]);
  assert.deepEqual(pair.guest.accepted[0]!.closedBy, { how: 'closed-by-peer', reason: 'reset', text: '' });
  assert.deepEqual([pair.host.mux.channels, pair.guest.mux.channels], [0, 0]);
});

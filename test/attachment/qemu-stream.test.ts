import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { FRAMES_OF_A_LONE_GUEST } from '../../src/attachment/attachment-space.ts';
import { QEMU_UNIX } from '../../src/attachment/kinds/qemu-unix.ts';
import { QemuStreamAttachment } from '../../src/attachment/qemu-stream.ts';
import { Frame } from '../../src/link/frame.ts';
import { MemoryPipe } from '../support/memory-pipe.ts';
import { attachmentBench, RecordingPort } from './attachment-bench.ts';

function framed(frame: Uint8Array): Uint8Array {
  const out = new Uint8Array(4 + frame.length);
  new DataView(out.buffer).setUint32(0, frame.length);
  out.set(frame, 4);
  return out;
}

function joined(pieces: Uint8Array[]): Uint8Array {
  return Uint8Array.from(pieces.flatMap((piece) => [...piece]));
}

function attach(bench = attachmentBench(), name = 'qemu 1 (test)') {
  const reasons: string[] = [];
  const attachment = QemuStreamAttachment.make(bench.space, {
    ...QEMU_UNIX,
    name,
    mtu: 1500,
    onDetach: (why) => reasons.push(why),
  });
  assert.ok(attachment);
  const pipe = new MemoryPipe(bench.arena, 'stream');
  const port = new RecordingPort(attachment.outlet, bench.arena.bytes);
  attachment.start(pipe, port);
  const run = (): void => {
    for (let i = 0; i < 200; i++) {
      bench.turn.run(i);
      if (bench.turn.waitMs(1000) !== 0) return;
    }
    assert.fail('the turn never comes to rest');
  };
  /** Reads all that waits, as an engine would that reports readiness after every short read. */
  const drain = (): void => {
    do {
      attachment.readable();
      run();
    } while (pipe.unread > 0 && !pipe.closed);
  };
  const send = (content: Uint8Array): boolean => {
    const at = attachment.outlet.reserve(content.length);
    if (at < 0) return false;
    bench.arena.bytes.set(content, at);
    const frame = new Frame();
    frame.plain(at, content.length);
    attachment.outlet.commit(frame);
    return true;
  };
  return { ...bench, attachment, pipe, port, reasons, run, drain, send };
}

const frames = fc.array(fc.uint8Array({ minLength: 14, maxLength: 400 }), { maxLength: 12 });

describe('QemuStreamAttachment', () => {
  it('hands over the same frames however the stream is split', () => {
    fc.assert(
      fc.property(
        frames,
        fc.array(fc.integer({ min: 1, max: 500 })),
        fc.integer({ min: 1, max: 700 }),
        (sent, cuts, limit) => {
          const t = attach();
          t.pipe.readLimit = limit;
          let rest = joined(sent.map(framed));
          for (const cut of [...cuts, Number.POSITIVE_INFINITY]) {
            t.pipe.push(rest.slice(0, cut));
            rest = rest.slice(cut);
            t.drain();
          }
          assert.deepEqual(t.port.frames, sent);
          assert.deepEqual(t.reasons, []);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('never throws on random bytes, and detaches at the first impossible length', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 8 }), (pieces) => {
        const t = attach();
        for (const piece of pieces) {
          t.pipe.push(piece);
          t.drain();
        }
        const all = joined(pieces);
        const view = new DataView(all.buffer);
        let at = 0;
        let nonsense = false;
        while (all.length - at >= 4 && !nonsense) {
          const length = view.getUint32(at);
          nonsense = length < 14 || length > 65_550;
          if (!nonsense && all.length - at - 4 < length) break;
          at += 4 + length;
        }
        assert.equal(t.pipe.closed, nonsense);
        assert.equal(t.counters.get('qemu-bad-frame-length'), nonsense ? 1 : 0);
      }),
      { numRuns: 60 },
    );
  });

  it('takes a frame of 65,550 bytes in many pieces and refuses one of 65,551', () => {
    const t = attach();
    const big = new Uint8Array(65_550).fill(9);
    t.pipe.readLimit = 1000;
    t.pipe.push(framed(big));
    t.drain();
    assert.deepEqual(t.port.frames, [big]);
    t.pipe.push(Uint8Array.of(0, 1, 0, 15));
    t.drain();
    assert.deepEqual(t.reasons, ['bad frame length 65551']);
  });

  it('tells an HTTP client what it connected to, showing its first bytes', () => {
    const t = attach();
    t.pipe.push(new TextEncoder().encode('GET / HTTP/1.1\r\nHost: example\r\n\r\n'));
    t.drain();
    assert.equal(t.lines.length, 1);
    assert.match(t.lines[0]?.message ?? '', /qemu 1 \(test\).*QEMU's stream protocol; an HTTP client connected/);
    assert.equal(t.lines[0]?.fields?.ascii, 'GET / HTTP/1.1..Host: ex');
    assert.match(String(t.lines[0]?.fields?.hex), /^47 45 54 20 /);
    assert.equal(t.pipe.closed, true);
  });

  it('detaches one guest and leaves the others alone', () => {
    const bench = attachmentBench();
    const bad = attach(bench);
    const good = attach(bench, 'qemu 2 (test)');
    bad.pipe.push(new Uint8Array(4));
    good.pipe.push(framed(new Uint8Array(60)));
    bad.attachment.readable();
    good.drain();
    assert.equal(bad.reasons.length, 1);
    assert.equal(good.port.frames.length, 1);
    assert.deepEqual(good.reasons, []);
  });

  it('ends with the end of the stream and with its error', () => {
    const ended = attach();
    ended.pipe.end();
    ended.drain();
    assert.deepEqual(ended.reasons, ['the guest closed the connection']);
    const broken = attach();
    broken.run();
    broken.pipe.error = 'ECONNRESET';
    broken.send(new Uint8Array(60));
    broken.run();
    assert.deepEqual(broken.reasons, ['ECONNRESET']);
    assert.equal(broken.attachment.outlet.reserve(60), -1);
  });

  it('writes all waiting frames with one write, in order, each after its length', () => {
    const t = attach();
    const sent = [1, 2, 3].map((value) => new Uint8Array(100).fill(value));
    for (const frame of sent) t.send(frame);
    t.run();
    assert.equal(t.pipe.writes.length, 1);
    assert.deepEqual(t.pipe.written, joined(sent.map(framed)));
    assert.equal(t.port.txFrames, 3);
    assert.equal(t.port.txBytes, 300);
  });

  it('holds a bounded backlog for a guest that stops reading, and goes on without loss', () => {
    const t = attach();
    t.pipe.room = 1000;
    const sent: Uint8Array[] = [];
    for (let i = 0; ; i++) {
      const frame = new Uint8Array(10_000).fill(i);
      if (!t.send(frame)) break;
      sent.push(frame);
      t.run();
    }
    assert.ok(sent.length <= 2 ** 20 / 10_000);
    let told = 0;
    t.attachment.outlet.whenWritable({ outletWritable: () => told++ });
    t.run();
    assert.equal(told, 0);
    while (t.pipe.written.length < sent.length * 10_004) {
      t.pipe.room = 77_777;
      t.attachment.writable();
      t.run();
    }
    assert.equal(told, 1);
    assert.deepEqual(t.pipe.written, joined(sent.map(framed)));
  });

  it('looks at so many frames a turn, and at the rest in order in the next ones, reading nothing meanwhile', () => {
    const t = attach();
    const sent = Array.from({ length: 3 * FRAMES_OF_A_LONE_GUEST }, (_, i) => new Uint8Array(60).fill(i));
    t.pipe.push(joined(sent.map(framed)));
    const late = new Uint8Array(70).fill(9);
    t.attachment.readable();
    for (let turn = 1; turn <= 3; turn++) {
      t.turn.run(turn);
      assert.equal(t.port.frames.length, turn * FRAMES_OF_A_LONE_GUEST);
      if (turn === 1) t.pipe.push(framed(late).slice(0, 10));
    }
    t.pipe.push(framed(late).slice(10));
    t.drain();
    assert.deepEqual(t.port.frames, [...sent, late]);
  });

  it('turns out who sends an impossible length behind more frames than a turn looks at', () => {
    const t = attach();
    const sent = Array.from({ length: FRAMES_OF_A_LONE_GUEST }, () => framed(new Uint8Array(60)));
    t.pipe.push(joined([...sent, new Uint8Array(200_000).fill(0xff)]));
    t.drain();
    assert.equal(t.port.frames.length, FRAMES_OF_A_LONE_GUEST);
    assert.equal(t.counters.get('qemu-bad-frame-length'), 1);
  });

  it('tells every waiter once there is room, those first who waited first', () => {
    const t = attach();
    const told: number[] = [];
    for (let i = 0; i < 200; i++) t.attachment.outlet.whenWritable({ outletWritable: () => told.push(i) });
    t.run();
    assert.deepEqual(
      told,
      Array.from({ length: 200 }, (_, i) => i),
    );
  });

  it('serves a guest that found the receive area full before those that had their share', () => {
    const bench = attachmentBench({ receiveBytes: 256 * 1024 });
    const guests = [1, 2, 3].map((id) => attach(bench, `qemu ${id} (test)`));
    const piece = framed(new Uint8Array(60_000));
    for (const guest of guests) for (let i = 0; i < 20; i++) guest.pipe.push(piece);
    guests[0]?.run();
    for (const guest of guests) assert.equal(guest.port.frames.length, 20);
  });

  it('reads on for the end of a long frame that was cut off, but not without end for one guest', () => {
    const t = attach();
    t.pipe.readLimit = 4000;
    const frame = new Uint8Array(10_000).fill(5);
    t.pipe.push(framed(frame));
    t.attachment.readable();
    t.turn.run(1);
    assert.deepEqual(t.port.frames, [frame]);
    t.pipe.readLimit = 1000;
    t.pipe.push(framed(frame));
    t.attachment.readable();
    t.turn.run(2);
    assert.equal(t.port.frames.length, 1);
    assert.equal(t.pipe.unread, 6004);
    t.drain();
    assert.deepEqual(t.port.frames, [frame, frame]);
  });

  it('leaves the end of a short frame to the next turn', () => {
    const t = attach();
    t.pipe.readLimit = 400;
    const frame = new Uint8Array(1000).fill(5);
    t.pipe.push(framed(frame));
    t.attachment.readable();
    t.turn.run(1);
    assert.equal(t.pipe.unread, 604);
    t.drain();
    assert.deepEqual(t.port.frames, [frame]);
  });

  it('reads no further behind whole frames', () => {
    const t = attach();
    t.pipe.readLimit = 64;
    for (let i = 0; i < 2; i++) t.pipe.push(framed(new Uint8Array(60)));
    t.attachment.readable();
    t.turn.run(1);
    assert.equal(t.port.frames.length, 1);
    t.drain();
    assert.equal(t.port.frames.length, 2);
  });

  it('comes back by itself after a read that took all it could, whichever of the turn it was', () => {
    for (let short = 0; short < 6; short++) {
      const t = attach(attachmentBench({ receiveBytes: 4 * 2 ** 20 }));
      const read = t.pipe.read.bind(t.pipe);
      let reads = 0;
      t.pipe.read = (at, capacity) => {
        t.pipe.readLimit = reads++ < short ? 100 : Number.POSITIVE_INFINITY;
        return read(at, capacity);
      };
      const frame = new Uint8Array(60_000).fill(7);
      for (let i = 0; i < 60; i++) t.pipe.push(framed(frame));
      t.attachment.readable();
      t.turn.run(1);
      if (short >= 4) t.attachment.readable();
      t.run();
      assert.equal(t.port.frames.length, 60);
    }
  });

  it('keeps frames of earlier guests in place until the turn is over', () => {
    const bench = attachmentBench();
    const [first, second] = [attach(bench, 'a'), attach(bench, 'b')];
    assert.ok(first && second);
    const places: number[] = [];
    for (const [i, guest] of [first, second].entries()) {
      guest.pipe.push(framed(new Uint8Array(500).fill(i + 1)));
      guest.port.receive = (frame) => void places.push(frame.at);
    }
    bench.turn.commits.add({
      queued: false,
      work: () => {
        assert.equal(places.length, 2);
        for (const [i, at] of places.entries()) assert.equal(bench.arena.bytes[at], i + 1);
      },
    });
    bench.turn.run(1);
    assert.equal(places.length, 2);
  });

  it('gives the memory of a detached guest to the next and turns away what exceeds the limit', () => {
    const bench = attachmentBench({ guests: 2 });
    for (let i = 0; i < 50; i++) attach(bench).attachment.detach();
    attach(bench);
    attach(bench);
    const options = { ...QEMU_UNIX, name: 'qemu 3 (test)', mtu: 1500, onDetach: (): void => {} };
    assert.equal(QemuStreamAttachment.make(bench.space, options), undefined);
    assert.equal(bench.counters.get('attachment-refused-limit'), 1);
    assert.match(bench.lines[0]?.message ?? '', /qemu 3 \(test\) was turned away/);
  });
});

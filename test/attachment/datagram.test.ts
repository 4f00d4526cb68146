import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { MAX_FRAME_BYTES } from '../../src/attachment/attachment-space.ts';
import { DatagramAttachment } from '../../src/attachment/datagram.ts';
import { QEMU_DGRAM } from '../../src/attachment/kinds/qemu-dgram.ts';
import { VFKIT_UNIXGRAM } from '../../src/attachment/kinds/vfkit-unixgram.ts';
import { Frame } from '../../src/link/frame.ts';
import { MemoryPipe } from '../support/memory-pipe.ts';
import { attachmentBench, RecordingPort } from './attachment-bench.ts';

const FRAME = new Uint8Array(60).fill(7);
const ascii = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text));

function attach(kind = QEMU_DGRAM) {
  const bench = attachmentBench();
  const reasons: string[] = [];
  const attachment = DatagramAttachment.make(bench.space, {
    ...kind,
    name: 'vm',
    mtu: 1500,
    onDetach: (why) => reasons.push(why),
  });
  assert.ok(attachment);
  const pipe = new MemoryPipe(bench.arena, 'frames');
  const port = new RecordingPort(attachment.outlet, bench.arena.bytes);
  attachment.start(pipe, port);
  const run = (): void => {
    attachment.readable();
    for (let i = 0; i < 2000; i++) {
      bench.turn.run(i);
      if (bench.turn.waitMs(1000) !== 0) return;
    }
    assert.fail('the turn never comes to rest');
  };
  const send = (content: Uint8Array): void => {
    const frame = new Frame();
    frame.plain(attachment.outlet.reserve(content.length), content.length);
    bench.arena.bytes.set(content, frame.at);
    attachment.outlet.commit(frame);
  };
  return { ...bench, attachment, pipe, port, reasons, run, send };
}

describe('DatagramAttachment', () => {
  it('takes each datagram for a frame, and sends each frame as one', () => {
    const t = attach();
    const frames = [60, 1514, MAX_FRAME_BYTES].map((length, value) => new Uint8Array(length).fill(value));
    for (const frame of frames) t.pipe.push(frame);
    for (const frame of frames.slice(0, 2)) t.send(frame);
    t.run();
    assert.deepEqual(t.port.frames, frames);
    assert.deepEqual(t.pipe.writes, frames.slice(0, 2));
  });

  it('drops and counts what is too short or too long for a frame, and goes on', () => {
    const t = attach();
    t.pipe.push(FRAME);
    for (const length of [1, 4, 13, MAX_FRAME_BYTES + 1, 70_000]) t.pipe.push(new Uint8Array(length));
    t.pipe.push(FRAME);
    t.run();
    assert.deepEqual(t.port.frames, [FRAME, FRAME]);
    assert.deepEqual([t.counters.get('datagram-runt'), t.counters.get('datagram-oversized')], [3, 2]);
    assert.deepEqual(t.reasons, []);
  });

  it('takes the greeting of vfkit for none, and in the middle for a runt', () => {
    const t = attach(VFKIT_UNIXGRAM);
    t.pipe.push(ascii('VFKT'));
    t.pipe.push(FRAME);
    t.pipe.push(ascii('VFKT'));
    t.pipe.push(FRAME);
    t.run();
    assert.deepEqual(t.port.frames, [FRAME, FRAME]);
    assert.equal(t.counters.get('datagram-runt'), 1);
    assert.deepEqual([t.reasons, t.lines], [[], []]);
  });

  it('needs no greeting of a vfkit that has none, and detaches who greets QEMU’s socket so', () => {
    const vfkit = attach(VFKIT_UNIXGRAM);
    vfkit.pipe.push(FRAME);
    vfkit.run();
    assert.deepEqual(vfkit.port.frames, [FRAME]);
    const qemu = attach();
    qemu.pipe.push(ascii('VFKT'));
    qemu.run();
    assert.deepEqual(qemu.reasons, ['its first datagram is not a frame']);
  });

  it('detaches a stranger, whose first datagram is no frame, with a line that shows it', () => {
    for (const first of ['GET /', 'x'.repeat(MAX_FRAME_BYTES + 9)]) {
      const t = attach();
      t.pipe.push(ascii(first));
      t.pipe.push(FRAME);
      t.run();
      assert.deepEqual(t.reasons, ['its first datagram is not a frame']);
      assert.deepEqual([t.port.frames.length, t.pipe.closed, t.lines.length], [0, true, 1]);
      assert.equal(t.lines[0]?.fields?.ascii, first.slice(0, 24));
    }
  });

  it('keeps a frame that does not fit until the socket is writable, loses one that it refuses, and ends when the guest is gone', () => {
    const t = attach();
    t.pipe.room = 0;
    t.send(FRAME);
    t.run();
    assert.equal(t.pipe.writes.length, 0);
    t.pipe.room = 100;
    t.attachment.writable();
    t.run();
    assert.deepEqual(t.pipe.writes, [FRAME]);
    t.pipe.refuse = 1;
    t.send(FRAME);
    t.run();
    assert.equal(t.counters.get('datagram-frame-refused'), 1);
    assert.deepEqual(t.reasons, []);
    t.pipe.error = 'ECONNREFUSED';
    t.send(FRAME);
    t.run();
    assert.deepEqual(t.reasons, ['ECONNREFUSED']);
  });

  it('drains a queue longer than one turn may read, and never throws on any bytes', () => {
    const t = attach();
    for (let i = 0; i < 3000; i++) t.pipe.push(FRAME);
    t.run();
    assert.equal(t.port.frames.length, 3000);
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 120 }), { maxLength: 10 }), (datagrams) => {
        const any = attach(VFKIT_UNIXGRAM);
        for (const datagram of [FRAME, ...datagrams]) any.pipe.push(datagram);
        any.run();
        assert.equal(any.port.frames.length - 1 + any.counters.get('datagram-runt'), datagrams.length);
      }),
      { numRuns: 30 },
    );
  });
});

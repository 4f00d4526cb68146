import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { MAX_FRAME_BYTES } from '../../src/attachment/attachment-space.ts';
import { TapAttachment } from '../../src/attachment/tap.ts';
import { Frame } from '../../src/link/frame.ts';
import { writeVirtioNet } from '../../src/wire/virtio-net.ts';
import { MemoryPipe } from '../support/memory-pipe.ts';
import { attachmentBench, RecordingPort } from './attachment-bench.ts';

function attach() {
  const bench = attachmentBench();
  const reasons: string[] = [];
  const attachment = TapAttachment.make(bench.space, {
    name: 'tap0',
    mtu: 1500,
    maxFrameBytes: MAX_FRAME_BYTES,
    offloads: { tcpSegmentation: true, udpSegmentation: true, checksum: true },
    onDetach: (why) => reasons.push(why),
  });
  assert.ok(attachment);
  const pipe = new MemoryPipe(bench.arena, 'frames');
  const port = new RecordingPort(attachment.outlet, bench.arena.bytes);
  attachment.start(pipe, port);
  const run = (): void => {
    attachment.readable();
    for (let i = 0; i < 200; i++) {
      bench.turn.run(i);
      if (bench.turn.waitMs(1000) !== 0) return;
    }
    assert.fail('the turn never comes to rest');
  };
  const send = (content: Uint8Array, facts: Partial<Frame> = {}): void => {
    const frame = new Frame();
    frame.plain(attachment.outlet.reserve(content.length), content.length);
    Object.assign(frame, facts);
    bench.arena.bytes.set(content, frame.at);
    attachment.outlet.commit(frame);
  };
  return { ...bench, attachment, pipe, port, reasons, run, send };
}

interface Header {
  flags: number;
  gsoType: number;
  headerLength: number;
  gsoSize: number;
  start: number;
  offset: number;
}

function withHeader(frame: Uint8Array, header: Partial<Header> = {}): Uint8Array {
  const { flags = 0, gsoType = 0, headerLength = 0, gsoSize = 0, start = 0, offset = 0 } = header;
  const out = new Uint8Array(10 + frame.length);
  writeVirtioNet(out, 0, { flags, gsoType, headerLength, gsoSize, checksumStart: start, checksumOffset: offset });
  out.set(frame, 10);
  return out;
}

describe('TapAttachment', () => {
  it('carries plain frames both ways', () => {
    const t = attach();
    const sent = [1, 2, 3].map((value) => new Uint8Array(60 + value).fill(value));
    for (const frame of sent) {
      t.pipe.push(withHeader(frame));
      t.send(frame);
    }
    t.run();
    assert.deepEqual(t.port.frames, sent);
    assert.deepEqual(
      t.pipe.writes,
      sent.map((frame) => withHeader(frame)),
    );
  });

  it('drains a queue longer than one turn may read', () => {
    const t = attach();
    for (let i = 0; i < 700; i++) t.pipe.push(withHeader(new Uint8Array(100)));
    t.run();
    assert.equal(t.port.frames.length, 700);
  });

  it('maps offloads from the guest to facts of the frame', () => {
    const t = attach();
    const content = new Uint8Array(9000);
    t.pipe.push(
      withHeader(content, { flags: 1, gsoType: 1, headerLength: 0xffff, gsoSize: 1448, start: 34, offset: 16 }),
    );
    t.pipe.push(withHeader(content, { flags: 1, gsoType: 5, gsoSize: 1400, start: 34, offset: 6 }));
    t.pipe.push(withHeader(content, { flags: 2 }));
    t.run();
    const [tcp, udp, valid] = t.port.facts;
    assert.ok(tcp && udp && valid);
    assert.deepEqual([tcp.gsoType, tcp.gsoSize, tcp.checksumStart, tcp.checksumOffset], ['tcp4', 1448, 34, 16]);
    assert.deepEqual([tcp.needsChecksum, tcp.checksumValid], [true, true]);
    assert.deepEqual([udp.gsoType, udp.gsoSize], ['udp', 1400]);
    assert.deepEqual([valid.needsChecksum, valid.checksumValid, valid.gsoType], [false, true, 'none']);
  });

  it('drops and counts headers that contradict their frame', () => {
    const t = attach();
    const content = new Uint8Array(60);
    t.pipe.push(withHeader(content, { flags: 1, start: 50, offset: 9 }));
    t.pipe.push(withHeader(content, { flags: 1, start: 13, offset: 0 }));
    t.pipe.push(withHeader(content, { gsoType: 1, gsoSize: 0 }));
    t.pipe.push(withHeader(content, { gsoType: 3, gsoSize: 100 }));
    t.pipe.push(withHeader(new Uint8Array(13)));
    t.pipe.push(new Uint8Array(5));
    t.run();
    assert.equal(t.port.frames.length, 0);
    assert.equal(t.counters.get('tap-bad-virtio-header'), 6);
  });

  it('never throws on random bytes and hands over only facts inside the frame', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 120 }), { maxLength: 10 }), (pieces) => {
        const t = attach();
        for (const piece of pieces) t.pipe.push(piece);
        t.run();
        assert.equal(t.port.frames.length + t.counters.get('tap-bad-virtio-header'), pieces.length);
        for (const facts of t.port.facts) {
          if (facts.needsChecksum) assert.ok(facts.checksumStart + facts.checksumOffset + 2 <= facts.length);
          assert.equal(facts.gsoSize > 0, facts.gsoType !== 'none');
        }
      }),
      { numRuns: 50 },
    );
  });

  it('writes offload facts with the length of all headers', () => {
    const t = attach();
    const content = new Uint8Array(5000);
    content[34 + 12] = 8 << 4;
    const facts = { needsChecksum: true, checksumStart: 34, gsoSize: 1448 } as const;
    t.send(content, { ...facts, checksumOffset: 16, gsoType: 'tcp4' });
    t.send(content, { ...facts, checksumOffset: 6, gsoType: 'udp' });
    t.run();
    const tcp = { flags: 1, gsoType: 1, headerLength: 66, gsoSize: 1448, start: 34, offset: 16 };
    assert.deepEqual(t.pipe.writes[0], withHeader(content, tcp));
    assert.deepEqual(t.pipe.writes[1], withHeader(content, { ...tcp, gsoType: 5, headerLength: 42, offset: 6 }));
  });

  it('counts a frame that the kernel refuses and sends the next', () => {
    const t = attach();
    t.pipe.refuse = 1;
    t.send(new Uint8Array(60).fill(1));
    t.send(new Uint8Array(60).fill(2));
    t.run();
    assert.equal(t.counters.get('tap-frame-refused'), 1);
    assert.deepEqual(t.pipe.writes, [withHeader(new Uint8Array(60).fill(2))]);
    assert.deepEqual(t.reasons, []);
  });

  it('keeps a frame that does not fit until the tap is writable', () => {
    const t = attach();
    t.pipe.room = 0;
    t.send(new Uint8Array(60).fill(1));
    t.run();
    assert.equal(t.pipe.writes.length, 0);
    t.pipe.room = 100;
    t.attachment.writable();
    t.run();
    assert.deepEqual(t.pipe.writes, [withHeader(new Uint8Array(60).fill(1))]);
  });

  it('ends when the device fails', () => {
    const t = attach();
    t.pipe.error = 'EIO';
    t.run();
    assert.deepEqual(t.reasons, ['EIO']);
    assert.equal(t.pipe.closed, true);
  });
});

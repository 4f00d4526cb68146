import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MUX_MAX_PAYLOAD_BYTES, MuxDatagramReader, muxDatagram } from '../../src/wire/mux-datagram.ts';

const NOBODY = new Uint8Array(0);

/** What the reader finds in `pieces`. */
function read(pieces: readonly Uint8Array[]): { ports: number[]; payloads: string[]; sound: boolean } {
  const reader = new MuxDatagramReader();
  const found = { ports: [] as number[], payloads: [] as string[], sound: true };
  for (const piece of pieces) {
    found.sound &&= reader.receive(piece, ({ port, payload }) => {
      found.ports.push(port);
      found.payloads.push(Buffer.from(payload).toString('latin1'));
    });
  }
  return found;
}

test('a datagram without an address is written as the dialing end of vpnkit writes it', () => {
  const bytes = muxDatagram({ address: NOBODY, port: 0, payload: Buffer.from('hello') });
  assert.equal(Buffer.from(bytes!).toString('hex'), `0f000000000000000500${Buffer.from('hello').toString('hex')}`);
});

test('datagrams survive a stream that is cut anywhere', () => {
  const sizes = fc.array(fc.nat(2000), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(sizes, fc.integer({ min: 1, max: 700 }), (lengths, cut) => {
      const written = lengths.map((length, i) =>
        muxDatagram({ address: new Uint8Array(i % 2 === 0 ? 4 : 16), port: i, payload: Buffer.alloc(length, 65 + i) }),
      );
      const stream = Buffer.concat(written.map((bytes) => bytes!));
      const pieces: Uint8Array[] = [];
      for (let at = 0; at < stream.length; at += cut) pieces.push(stream.subarray(at, at + cut));
      const found = read(pieces);
      assert.deepEqual(
        found.ports,
        lengths.map((_, i) => i),
      );
      assert.deepEqual(
        found.payloads,
        lengths.map((length, i) => String.fromCharCode(65 + i).repeat(length)),
      );
      assert.ok(found.sound);
    }),
    { numRuns: 50 },
  );
});

test('the largest datagram of UDP fits, and none larger', () => {
  const largest = muxDatagram({ address: new Uint8Array(16), port: 1, payload: new Uint8Array(MUX_MAX_PAYLOAD_BYTES) });
  assert.equal(read([largest!]).payloads[0]!.length, MUX_MAX_PAYLOAD_BYTES);
  assert.equal(
    muxDatagram({ address: NOBODY, port: 1, payload: new Uint8Array(MUX_MAX_PAYLOAD_BYTES + 1) }),
    undefined,
  );
});

test('lengths that contradict each other end the stream, and nothing is delivered', () => {
  for (const hex of ['0900', '0b00000000000000050041', '0a00030000000000000000', '0f00000000000900050068656c6c6f']) {
    assert.deepEqual(read([Buffer.from(hex, 'hex')]), { ports: [], payloads: [], sound: false }, hex);
  }
});

test('no octets make the reader throw', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void read([bytes])));
});

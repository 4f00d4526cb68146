import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type BindRequest,
  dialectOf,
  HELPER_STATUS,
  parseAnswer,
  parseRequest,
  parseVmnetdRequest,
  REQUEST_BYTES,
  VMNETD_GREETING_BYTES,
  VMNETD_REQUEST_BYTES,
  vmnetdGreeting,
  writeAnswer,
  writeRequest,
  writeVmnetdAnswer,
} from '../../../src/host/ports/helper-protocol.ts';
import type { Place } from '../../../src/host/ports/socket-calls.ts';

const bytes = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });
const place: fc.Arbitrary<Place> = fc.oneof(
  bytes(4).map((address): Place => ({ family: 4, address, scope: 0 })),
  fc.tuple(bytes(16), fc.nat(2 ** 32 - 1)).map(([address, scope]): Place => ({ family: 6, address, scope })),
);
const request: fc.Arbitrary<BindRequest> = fc
  .tuple(fc.constantFrom('tcp' as const, 'udp' as const), place, fc.nat(65_535))
  .map(([protocol, at, port]) => ({ protocol, place: at, port }));

test('a request is 32 bytes as docs/security.md says', () => {
  const written = writeRequest({
    protocol: 'tcp',
    place: { family: 4, address: Uint8Array.of(127, 0, 0, 1), scope: 0 },
    port: 80,
  });
  assert.equal(
    Buffer.from(written).toString('hex'),
    '53575048 01 01 06 04 7f000001 000000000000000000000000 0050 0000 00000000'.replaceAll(' ', ''),
  );
});

test('what is written is what is read', () => {
  fc.assert(
    fc.property(request, (asked) => {
      const written = writeRequest(asked);
      assert.equal(written.length, REQUEST_BYTES);
      assert.equal(dialectOf(written), 'slipway');
      assert.deepEqual(parseRequest(new Uint8Array(written)), asked);
    }),
  );
  for (const status of HELPER_STATUS) {
    assert.deepEqual(parseAnswer(writeAnswer({ status, errno: 98 })), { status, errno: 98 });
  }
});

test('any bytes are read without a throw, and a request never has a port or address that was not said', () => {
  fc.assert(
    fc.property(bytes(VMNETD_GREETING_BYTES + VMNETD_REQUEST_BYTES), (any) => {
      dialectOf(any);
      parseAnswer(any);
      for (const parsed of [parseRequest(any), parseVmnetdRequest(any)]) {
        if (typeof parsed !== 'string') assert.equal(parsed.place.address.length, parsed.place.family === 4 ? 4 : 16);
      }
    }),
  );
});

test('another version, command or leftover bits are no request', () => {
  const good = writeRequest({
    protocol: 'udp',
    place: { family: 4, address: Uint8Array.of(0, 0, 0, 0), scope: 0 },
    port: 53,
  });
  const changed = (at: number, value: number): unknown => {
    const copy = Uint8Array.from(good);
    copy[at] = value;
    return parseRequest(copy);
  };
  assert.equal(changed(4, 2), 'bad-version');
  for (const [at, value] of [
    [5, 0],
    [5, 6],
    [6, 1],
    [7, 5],
    [12, 1],
    [23, 1],
    [26, 1],
    [31, 1],
  ] as const) {
    assert.equal(changed(at, value), 'bad-request', `byte ${at}`);
  }
});

test('the first bytes tell who speaks', () => {
  assert.equal(dialectOf(Buffer.from('SW')), undefined);
  assert.equal(dialectOf(Buffer.from('VMN')), undefined);
  assert.equal(dialectOf(Buffer.from('VMN3T')), 'vmnetd');
  assert.equal(dialectOf(Buffer.from('VMNET')), 'garbage');
  assert.equal(dialectOf(Buffer.from('GET / HTTP/1.1')), 'garbage');
});

test('vmnetd’s request has the address reversed and the port little-endian', () => {
  const asked = Buffer.concat([vmnetdGreeting(), Buffer.from([6, 4, 3, 2, 1, 0x50, 0x00, 1])]);
  assert.deepEqual(parseVmnetdRequest(new Uint8Array(asked)), {
    protocol: 'udp',
    place: { family: 4, address: Uint8Array.of(1, 2, 3, 4), scope: 0 },
    port: 80,
  });
  asked[5] = 21;
  assert.equal(parseVmnetdRequest(asked), 'bad-version');
});

test('vmnetd’s answer has the numbers of macOS', () => {
  const first = (status: (typeof HELPER_STATUS)[number], errno: number): number =>
    writeVmnetdAnswer({ status, errno })[0]!;
  assert.deepEqual(
    [
      first('bound', 0),
      first('bind-failed', 98),
      first('bind-failed', 99),
      first('bind-failed', 13),
      first('not-allowed', 0),
    ],
    [0, 48, 49, 13, 1],
  );
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  parseVirtioNet,
  VIRTIO_NET_GSO_TCPV4,
  VIRTIO_NET_HEADER_BYTES,
  VIRTIO_NET_NEEDS_CHECKSUM,
  VirtioNetHeader,
  writeVirtioNet,
} from '../../src/wire/virtio-net.ts';
import { hex, hexOf, parsesHostileBytes } from '../support/hostile-bytes.ts';

/** What Linux puts before a TCP super-segment of MSS 1460. */
const HEADER = hex('01 01 3600 b405 2200 1000');

test('a header is little-endian, both ways', () => {
  const header = new VirtioNetHeader();
  assert.equal(parseVirtioNet(HEADER, 0, HEADER.length, header), undefined);
  assert.deepEqual(
    { ...header },
    {
      flags: VIRTIO_NET_NEEDS_CHECKSUM,
      gsoType: VIRTIO_NET_GSO_TCPV4,
      headerLength: 54,
      gsoSize: 1460,
      checksumStart: 34,
      checksumOffset: 16,
    },
  );
  const bytes = new Uint8Array(VIRTIO_NET_HEADER_BYTES);
  writeVirtioNet(bytes, 0, header);
  assert.equal(hexOf(bytes), hexOf(HEADER));
});

test('never throws and never reads past the end', () => {
  assert.equal(parseVirtioNet(HEADER, 0, 9, new VirtioNetHeader()), 'virtio-net-truncated');
  parsesHostileBytes([HEADER], (bytes, at, end) => {
    const header = new VirtioNetHeader();
    return [parseVirtioNet(bytes, at, end, header), { ...header }];
  });
});

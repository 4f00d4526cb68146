import { writeU16, writeU32 } from './bytes.ts';

/** Classic capture files of Ethernet frames, big-endian, times in microseconds (draft-ietf-opsawg-pcap §4 and §5). */
export const PCAP_FILE_HEADER_BYTES = 24;
export const PCAP_RECORD_HEADER_BYTES = 16;

const MAGIC_MICROSECONDS = 0xa1b2_c3d4;
const LINKTYPE_ETHERNET = 1;

/** Writes the file header. `snapBytes`: at most this much of each frame is in the file. */
export function writePcapFileHeader(bytes: Uint8Array, at: number, snapBytes: number): void {
  writeU32(bytes, at, MAGIC_MICROSECONDS);
  writeU16(bytes, at + 4, 2);
  writeU16(bytes, at + 6, 4);
  writeU32(bytes, at + 8, 0);
  writeU32(bytes, at + 12, 0);
  writeU32(bytes, at + 16, snapBytes);
  writeU32(bytes, at + 20, LINKTYPE_ETHERNET);
}

/** Writes the header of one record, which `capturedBytes` of the frame follow. `timeMs`: since 1970, fractions count. */
export function writePcapRecordHeader(
  bytes: Uint8Array,
  at: number,
  timeMs: number,
  capturedBytes: number,
  frameBytes: number,
): void {
  const microseconds = Math.floor(timeMs * 1000);
  const seconds = Math.floor(microseconds / 1_000_000);
  writeU32(bytes, at, seconds);
  writeU32(bytes, at + 4, microseconds - seconds * 1_000_000);
  writeU32(bytes, at + 8, capturedBytes);
  writeU32(bytes, at + 12, frameBytes);
}

import { sum } from './checksum';

/**
 * How many frames from `at` on make one train; see `Arena.train` for the contract and src/wire/train.ts for the same in
 * TypeScript, which the tests compare this with. Offsets below are from the frame's first byte: Ethernet at 0, IPv4 at
 * 14, TCP at 34. Fields are compared as they lie, so only numbers that are calculated with are swapped.
 */
export function train(at: u32, length: u32, end: u32): u32 {
  if (!mayLead(at, length)) return 1;
  const tcpHeader: u32 = (<u32>load<u8>(at, 46) >> 4) << 2;
  const text = length - 34 - tcpHeader;
  const pseudo = sum(at + 26, 8, 6 + length - 34);
  let sequence = bswap<u32>(load<u32>(at, 38));
  let count: u32 = 1;
  for (let frame = at + 4 + length; frame <= end && end - frame >= length; frame += 4 + length) {
    sequence += text;
    if (bswap<u32>(load<u32>(frame - 4)) !== length) break;
    if (!sameHeaders(at, frame, tcpHeader)) break;
    if (bswap<u32>(load<u32>(frame, 38)) !== sequence) break;
    if (sum(frame + 14, 20, 0) !== 0xffff) break;
    if (sum(frame + 34, length - 34, pseudo) !== 0xffff) break;
    count++;
  }
  return count;
}

/** IPv4 without options or fragments, TCP with text, no flag but ACK and PSH, lengths that agree. */
function mayLead(at: u32, length: u32): bool {
  if (length <= 54 || load<u16>(at, 12) !== 0x0008 || load<u8>(at, 14) !== 0x45) return false;
  if ((load<u16>(at, 20) & 0xffbf) !== 0 || load<u8>(at, 23) !== 6) return false;
  if (<u32>bswap<u16>(load<u16>(at, 16)) !== length - 14) return false;
  const tcpHeader: u32 = (<u32>load<u8>(at, 46) >> 4) << 2;
  return tcpHeader >= 20 && length > 34 + tcpHeader && (load<u8>(at, 47) & 0xf7) === 0x10;
}

/** Everything but identification, sequence number, PSH and checksums. */
function sameHeaders(at: u32, frame: u32, tcpHeader: u32): bool {
  if (load<u64>(at) !== load<u64>(frame) || load<u64>(at, 8) !== load<u64>(frame, 8)) return false;
  if (load<u16>(at, 16) !== load<u16>(frame, 16) || load<u32>(at, 20) !== load<u32>(frame, 20)) return false;
  if (load<u64>(at, 26) !== load<u64>(frame, 26) || load<u32>(at, 34) !== load<u32>(frame, 34)) return false;
  if (load<u32>(at, 42) !== load<u32>(frame, 42)) return false;
  if (((load<u32>(at, 46) ^ load<u32>(frame, 46)) & 0xfffff7ff) !== 0) return false;
  if (load<u16>(at, 52) !== load<u16>(frame, 52)) return false;
  for (let i: u32 = 20; i < tcpHeader; i += 4) {
    if (load<u32>(at + 34 + i) !== load<u32>(frame + 34 + i)) return false;
  }
  return true;
}

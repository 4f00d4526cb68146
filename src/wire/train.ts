import { readU16, readU32 } from './bytes.ts';
import { pseudoHeaderSum, sumBytes } from './checksum.ts';
import { ETHERTYPE_IPV4, etherType } from './ethernet.ts';
import { PROTOCOL_TCP } from './ipv4.ts';
import { seqAdd } from './seqnum.ts';
import { ACK, PSH } from './tcp.ts';

/** Offsets in a frame that carries IPv4 without options. */
const IP = 14;
const TCP = 34;

/**
 * The contract of `Arena.train` in plain TypeScript: for arenas without WebAssembly, and the oracle for the one with
 * (wasm/train.ts). Reads nothing outside [at − 4, end).
 */
export function trainOf(bytes: Uint8Array, at: number, length: number, end: number): number {
  if (!mayLead(bytes, at, length)) return 1;
  const tcpHeaderBytes = (bytes[at + 46]! >>> 4) * 4;
  const textBytes = length - TCP - tcpHeaderBytes;
  const pseudo = pseudoHeaderSum(readU32(bytes, at + 26), readU32(bytes, at + 30), PROTOCOL_TCP, length - TCP);
  let sequence = readU32(bytes, at + 38);
  let count = 1;
  for (let frame = at + 4 + length; frame + length <= end; frame += 4 + length) {
    sequence = seqAdd(sequence, textBytes);
    if (readU32(bytes, frame - 4) !== length || !sameHeaders(bytes, at, frame, TCP + tcpHeaderBytes)) break;
    if (readU32(bytes, frame + 38) !== sequence) break;
    if (sumBytes(bytes, frame + IP, 20, 0) !== 0xffff) break;
    if (sumBytes(bytes, frame + TCP, length - TCP, pseudo) !== 0xffff) break;
    count++;
  }
  return count;
}

function mayLead(bytes: Uint8Array, at: number, length: number): boolean {
  if (length <= 54 || etherType(bytes, at) !== ETHERTYPE_IPV4 || bytes[at + IP] !== 0x45) return false;
  if ((readU16(bytes, at + 20) & 0xbfff) !== 0 || bytes[at + 23] !== PROTOCOL_TCP) return false;
  if (readU16(bytes, at + 16) !== length - IP) return false;
  const tcpHeaderBytes = (bytes[at + 46]! >>> 4) * 4;
  return tcpHeaderBytes >= 20 && length > TCP + tcpHeaderBytes && (bytes[at + 47]! & ~PSH) === ACK;
}

/** Everything but identification (18), IP checksum (24), sequence number (38), PSH (47) and TCP checksum (50). */
function sameHeaders(bytes: Uint8Array, at: number, frame: number, headerBytes: number): boolean {
  for (let i = 0; i < headerBytes; i++) {
    if (i === 18 || i === 24 || i === 50) i++;
    else if (i === 38) i += 3;
    else if (i === 47) {
      if (((bytes[at + i]! ^ bytes[frame + i]!) & ~PSH) !== 0) return false;
    } else if (bytes[at + i] !== bytes[frame + i]) return false;
  }
  return true;
}

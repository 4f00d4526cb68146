import { seqAdd } from '../wire/seqnum.ts';
import type { FlowEnds } from './flow-ends.ts';

/** One number in 64 ns, as Linux counts: once round in 275 s, more than twice as long as TIME-WAIT lasts. */
const NUMBERS_PER_MS = 15_625;

/**
 * The initial sequence number of a connection that we open (RFC 6528 §3): a clock plus a keyed hash of the four
 * numbers. A client that uses its port again within a minute finds the guest in TIME-WAIT, which takes a SYN only with
 * a number beyond the last one (RFC 9293 §3.6.1); a random one would cost every second such client a second.
 */
export function initialSequence(secret: number, nowMs: number, ends: FlowEnds): number {
  let hash = mix(secret, ends.neighbor.address);
  hash = mix(hash, ends.remoteAddress);
  hash = mix(hash, ((ends.guestPort << 16) | ends.remotePort) >>> 0);
  // Whole milliseconds first: the product would outgrow the precision of a double only after centuries.
  return seqAdd(hash >>> 0, Math.floor(nowMs * NUMBERS_PER_MS) % 2 ** 32);
}

/** Two rounds of MurmurHash3's finalizer over the word and what came before. */
function mix(hash: number, word: number): number {
  let h = Math.imul(hash ^ word, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  h ^= h >>> 16;
  h = Math.imul(h ^ word, 0xcc9e2d51);
  return h ^ (h >>> 15);
}

import type { BoundSockets } from '../env/host-listener.ts';

/** The places in the range that sockets have. */
export function placesOf(sockets: BoundSockets): { readonly first: number; readonly count: number } {
  const places = sockets.kind === 'descriptors' ? sockets.index : sockets.addresses.map(({ index }) => index);
  let [first, last] = [places[0] ?? 0, places[0] ?? 0];
  for (const place of places) {
    first = Math.min(first, place);
    last = Math.max(last, place);
  }
  return { first, count: last - first + 1 };
}

import { editDistance } from '../../config/edit-distance.ts';

/** A person reads no more of them. */
const MOST = 3;
/** Slips of the keyboard. */
const MOST_SLIPS = 2;

/**
 * Which of `ids` may be meant by a name that is none of them: those with its very port, else those that are a slip or
 * two away. At most three, the likeliest first.
 */
export function similarForwards(name: string, ids: readonly string[]): readonly string[] {
  const port = /(\d+)(?:\/(?:tcp|udp))?$/.exec(name)?.[1];
  const samePort = port === undefined ? [] : ids.filter((id) => id.endsWith(`:${port}`));
  if (samePort.length > 0) return samePort.slice(0, MOST);
  const wanted = asId(name);
  const slips = ids.map((id) => ({ id, count: Math.min(editDistance(name, id), editDistance(wanted, id)) }));
  const near = slips.filter(({ count }) => count <= MOST_SLIPS).sort((a, b) => a.count - b.count);
  return near.slice(0, MOST).map(({ id }) => id);
}

/** "8080/udp" as the id that it would be. */
function asId(name: string): string {
  const [, place = '', protocol = 'tcp'] = /^(.*?)(?:\/(tcp|udp))?$/.exec(name) ?? [];
  if (place.startsWith('/')) return `unix:${place}`;
  return /^\d+(?:-\d+)?$/.test(place) ? `${protocol}:*:${place}` : `${protocol}:${place}`;
}

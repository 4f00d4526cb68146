import type { ForwardJson } from '../api/contract.ts';
import { table } from './table.ts';

/** A table of forwards for people; also what `up -p` prints. */
export function forwardTable(forwards: readonly ForwardJson[]): string {
  return table(
    ['PROTOCOL', 'HOST', 'GUEST', 'OWNER', 'CONNECTIONS', 'STATE'],
    forwards.map((one) => [
      one.protocol,
      hostShown(one),
      guestShown(one),
      one.owner,
      `${one.connections}`,
      one.why === '' ? one.state : `${one.state}: ${one.why}`,
    ]),
  );
}

/** With the port that the host chose. */
export function hostShown({ host, boundPort, count }: Pick<ForwardJson, 'host' | 'boundPort' | 'count'>): string {
  const chosen = /^(.*:)(?:0|\d+-\d+)$/.exec(host);
  return chosen === null || boundPort === 0 || count > 1 ? host : `${chosen[1]}${boundPort}`;
}

/** A port, or `user@guest:path` of a socket. */
export function guestShown({ guest, ssh }: Pick<ForwardJson, 'guest' | 'ssh'>): string {
  return guest ?? `${ssh?.user}@${ssh?.address ?? 'guest'}:${ssh?.path}`;
}

import type { ForwardJson } from '../api/contract.ts';
import { table } from './table.ts';

/** A table of forwards for people; also what `up -p` prints. */
export function forwardTable(forwards: readonly ForwardJson[]): string {
  return table(
    ['PROTOCOL', 'HOST', 'GUEST', 'OWNER', 'CONNECTIONS', 'STATE'],
    forwards.map((one) => [
      one.protocol,
      hostShown(one),
      one.guest ?? `${one.ssh?.user}@${one.ssh?.address ?? 'guest'}:${one.ssh?.path}`,
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

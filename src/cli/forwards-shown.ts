import type { ForwardJson } from '../api/v1/contract.ts';
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
      stateShown(one),
    ]),
  );
}

/** With the port that the host chose. */
export function hostShown({ host, boundPort, count }: Pick<ForwardJson, 'host' | 'boundPort' | 'count'>): string {
  const chosen = /^(.*:)(?:0|\d+-\d+)$/.exec(host);
  return chosen === null || boundPort === 0 || count > 1 ? host : `${chosen[1]}${boundPort}`;
}

/** How it stands; and where clients come in, how a client learns that the guest does not take it. */
function stateShown({ state, why, guestListens, protocol, ssh, note }: ForwardJson): string {
  const asked = protocol !== 'udp' && ssh === undefined && guestListens === 'unseen';
  const details = [why, state === 'listening' && asked ? 'the guest is asked for each client' : '', note];
  return [state, ...details.filter((detail) => detail !== '')].join(': ');
}

/** A port, or `user@guest:path` of a socket. A forward to whichever guest is first names that guest. */
export function guestShown({ guest, ssh, reaches }: Pick<ForwardJson, 'guest' | 'ssh' | 'reaches'>): string {
  if (guest !== undefined && reaches !== '' && !guest.includes(':')) return `${guest} of ${reaches}`;
  return guest ?? `${ssh?.user}@${ssh?.address ?? 'guest'}:${ssh?.path}`;
}

/** One as a sentence has it: what reaches what, and why it does not, if it does not. */
export function forwardShown(forward: ForwardJson): string {
  const { protocol, why } = forward;
  return `${protocol} ${hostShown(forward)} → ${guestShown(forward)}${why === '' ? '' : ` (${why})`}`;
}

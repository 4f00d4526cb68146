import type { Counters } from '../../../env/counters.ts';
import type { Random } from '../../../env/random.ts';
import type { Nameserver } from '../../../facts/nameserver.ts';
import type { Pending, UpstreamRequest } from './request.ts';
import type { DnsTimers } from './timers.ts';

/** How requests get to one nameserver and answers back: UDP or TCP. */
export interface UpstreamTransport {
  /** Never throws and never calls the request back before it returns. */
  send(request: UpstreamRequest): Pending;
  /** The network may have changed: no request goes the old way any more; what is on it is still listened to. */
  renew(): void;
  /** Fails all that wait with 'closed' and lets go of all sockets. */
  close(): void;
}

/** What a transport works with. */
export interface TransportOptions {
  readonly nameserver: Nameserver;
  readonly counters: Counters;
  readonly random: Random;
  readonly timers: DnsTimers;
}

/** A request that goes nowhere: it fails as soon as the caller is done. */
export function refused(request: UpstreamRequest, code: string): Pending {
  let waits = true;
  queueMicrotask(() => {
    if (waits) request.failed(code);
  });
  return {
    forget: () => {
      waits = false;
    },
    suspect: () => {},
  };
}

/**
 * An id that nobody can guess and that no other request in `taken` has (RFC 5452 §9.2). `taken` has far fewer than
 * 65,536.
 */
export function freeId(random: Random, taken: ReadonlyMap<number, unknown>): number {
  let id = random.u32() & 0xffff;
  while (taken.has(id)) id = random.u32() & 0xffff;
  return id;
}

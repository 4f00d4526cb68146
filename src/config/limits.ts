import type { Limits } from './config.ts';

/** Descriptors for Slipway itself: Node, epoll, DNS lookups, the forwarder's sockets, and closed connections with bytes on their way. */
const OWN_DESCRIPTORS = 768;

/**
 * The limits that `descriptors` (RLIMIT_NOFILE) leave room for: a flow and a UDP mapping each hold one. UDP gets at most a
 * quarter; dials never exceed flows. What was asked for is never exceeded.
 */
export function fittingLimits(wanted: Limits, descriptors: number): Limits {
  const free = Math.max(64, descriptors - OWN_DESCRIPTORS - wanted.guests);
  const udpMappings = Math.min(wanted.udpMappings, Math.max(16, Math.floor(free / 4)));
  const flows = Math.min(wanted.flows, Math.max(48, free - udpMappings));
  return { flows, udpMappings, dialsInFlight: Math.min(wanted.dialsInFlight, flows), guests: wanted.guests };
}

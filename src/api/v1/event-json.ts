import type { EventJson } from './contract.ts';
import type { ControlEvent } from './event-feed.ts';
import { forwardJson } from './forward-json.ts';
import { leaseJson } from './guest-json.ts';

/** What happened, as the API tells it. */
export function eventJson(event: ControlEvent): EventJson {
  if (event.type === 'forward') return { type: 'forward', removed: event.removed, forward: forwardJson(event.status) };
  if (event.type !== 'lease') return event;
  const { kind, lease } = event.change;
  return { type: 'lease', change: kind, lease: leaseJson({ ...lease, name: lease.hostName }) };
}

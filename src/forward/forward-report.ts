import type { ForwardContext } from './forward-context.ts';
import type { ForwardReport } from './forward-request.ts';
import type { ForwardTarget } from './forward-target.ts';

/** The state of a forward, whatever its protocol. `why` is '' while clients are taken. */
export function reportOf(
  { routes }: Pick<ForwardContext, 'routes'>,
  { guest, guestListens }: ForwardTarget,
  { id, why, connections }: Pick<ForwardReport, 'id' | 'why' | 'connections'>,
): ForwardReport {
  return {
    id,
    state: why === '' ? 'up' : 'down',
    why,
    guestAddress: guest?.address ?? 0,
    guestListens,
    connections,
    note: guest === undefined ? '' : routes.note(guest),
  };
}

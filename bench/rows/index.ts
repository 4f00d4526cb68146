import { bulkCells } from './bulk.ts';
import type { Cell } from './cell.ts';
import { floodCells } from './floods.ts';
import { footprintCells, idleFlowCells } from './footprint.ts';
import { forwardCells } from './forward.ts';
import { httpCells } from './http.ts';
import { roundTripCells } from './round-trip.ts';

/** All that is measured, in the order of a round: first what wants fresh processes, last what wears them. */
export function allCells(): Cell[] {
  return [
    ...footprintCells(),
    ...bulkCells(),
    ...httpCells(),
    ...roundTripCells(),
    ...forwardCells(),
    ...idleFlowCells(),
    ...floodCells(),
  ];
}

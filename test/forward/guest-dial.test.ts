import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ForwardContext } from '../../src/forward/forward-context.ts';
import { type DialOwner, GuestDial } from '../../src/forward/guest-dial.ts';
import { Neighbor } from '../../src/ip/neighbor.ts';
import type { Port } from '../../src/link/port.ts';
import { FIRST_GUEST_ADDRESS } from '../support/forward-world.ts';
import { KnownSockets } from '../support/known-sockets.ts';

test('a dial to a guest’s loopback that carries no client ends at once, and is not forgotten half-way', () => {
  const sockets = new KnownSockets();
  sockets.set(80, 'loopback');
  const neighbor = new Neighbor(FIRST_GUEST_ADDRESS, 7, { attached: true, sockets } as Partial<Port> as Port, 0);
  const context = {
    guests: { resolve: () => neighbor, find: () => neighbor },
    turn: { nowMs: 0 },
    log: {},
  } as unknown as ForwardContext;
  const ended: GuestDial[] = [];
  const owner: DialOwner = {
    established: () => assert.fail(),
    unreached: () => assert.fail(),
    ended: (dial) => void ended.push(dial),
  };
  const dial = new GuestDial(context, owner, {
    address: FIRST_GUEST_ADDRESS,
    port: 80,
    source: 'client',
    clientAddress: 1,
    clientPort: 1,
  });
  dial.begin();
  assert.deepEqual([ended, dial.state], [[dial], 'over']);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServiceOutbox } from '../../src/control/service-outbox.ts';
import type { ServiceDatagram } from '../../src/control/thread-mail.ts';
import { ThreadState } from '../../src/control/thread-state.ts';
import { TurnBatch } from '../../src/control/turn-batch.ts';
import { Counters } from '../../src/env/counters.ts';
import { Turn } from '../../src/turn/turn.ts';
import { PlainArena } from '../support/plain-arena.ts';

const [FLOODER, OTHER] = [0xc0a8_4103, 0xc0a8_4104];

test('a guest that floods a service leaves room for the datagrams of others', () => {
  const state = new ThreadState();
  const counters = new Counters();
  const turn = new Turn(0);
  const waiting: number[] = [];
  const batch = new TurnBatch<ServiceDatagram>((datagrams) => {
    waiting.push(...datagrams.map(({ guestAddress }) => guestAddress));
  });
  batch.flushWith(turn);
  const outbox = new ServiceOutbox(new PlainArena(4096), counters, state, batch);
  // The flooder speaks from five addresses.
  const send = (guest: number, count: number): void => {
    const [addresses, place] = guest === FLOODER ? [5, 'flooder'] : [1, 'other'];
    for (let i = 0; i < count; i++) {
      const guestAddress = guest + 10 * (i % addresses);
      const client = { attachment: place, guestAddress, guestPort: 5353, gatewayAddress: 0, gatewayPort: 53 };
      outbox.datagram('dns', client, 64, 30);
    }
    turn.flush();
  };
  const take = (): number[] => {
    const taken = waiting.splice(0, 100);
    state.addTaken(taken.length);
    return taken;
  };
  // Control takes a hundred while the flooder sends a thousand, again and again.
  let answered = 0;
  for (let round = 0; round < 50; round++) {
    send(FLOODER, 1000);
    send(OTHER, 10);
    answered += take().filter((guest) => guest === OTHER).length;
    assert.ok(waiting.length <= 1024);
  }
  while (waiting.length > 0) answered += take().filter((guest) => guest === OTHER).length;
  assert.equal(answered, 500);
  // All was taken, so nothing is held against anybody.
  send(OTHER, 768);
  assert.equal(waiting.length, 768);
  assert.ok((counters.get('service-busy') ?? 0) > 40_000);
});

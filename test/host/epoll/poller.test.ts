import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as libc from '../../../src/host/epoll/libc.ts';
import { INPUT_EVENTS } from '../../../src/host/epoll/poller.ts';
import { createEpollHarness } from './harness.ts';

describe('Poller', () => {
  it('brings nobody the event of what was closed in the same batch, though its number and its slot are in use again', async () => {
    const harness = createEpollHarness();
    const { poller } = harness;
    const calls: string[] = [];
    const places = new Map<string, { fd: number; slot: number }>();
    let third = { fd: -1, slot: -1 };
    const add = (name: string, other: string): void => {
      const fd = libc.eventfd(1, libc.EFD_FLAGS);
      const ready = (): void => {
        calls.push(name);
        const victim = places.get(other)!;
        poller.remove(victim.slot);
        poller.closeDescriptor(victim.fd);
        const again = libc.eventfd(0, libc.EFD_FLAGS);
        third = { fd: again, slot: poller.add(again, { ready: () => calls.push('third') }, INPUT_EVENTS) };
        assert.deepEqual(third, victim);
      };
      places.set(name, { fd, slot: poller.add(fd, { ready }, INPUT_EVENTS) });
    };
    add('first', 'second');
    add('second', 'first');
    poller.wait(0);
    poller.wait(0);
    assert.equal(calls.length, 1, 'both were ready in one batch, and the first to hear closed the other');
    const left = places.get(calls[0]!)!;
    for (const { fd, slot } of [left, third]) {
      poller.remove(slot);
      poller.closeDescriptor(fd);
    }
    await harness.close();
  });
});

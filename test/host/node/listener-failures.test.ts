import assert from 'node:assert/strict';
import { fstatSync, openSync } from 'node:fs';
import { describe, it } from 'node:test';
import { LOOPBACK4 } from '../../../src/env/host.ts';
import type { BoundSockets } from '../../../src/env/host-listener.ts';
import { createNodeHarness } from './harness.ts';

describe('the portable engine, which binds by itself', () => {
  it('tells that an address is in use before the next turn, and no other listener suffers', async () => {
    const harness = createNodeHarness({ services: new Map() });
    const first = await harness.bind('tcp', [{ address: LOOPBACK4, index: 0 }]);
    const second = await harness.bind('tcp', [{ address: LOOPBACK4, index: 1 }]);
    const failures: string[] = [];
    const handler = {
      accepted: () => undefined,
      failed: (code: string, index: number): void => void failures.push(`${code} ${index}`),
    };
    const holder = harness.host.listenStreams(first.sockets, handler);
    await harness.poll();
    const both = harness.host.listenStreams(join(first.sockets, second.sockets), handler);
    await harness.poll();
    assert.deepEqual(failures, ['EADDRINUSE 0']);
    for (const listener of [holder, both]) if (typeof listener !== 'string') listener.close();
    // What was closed before it could be bound is never bound.
    const early = harness.host.listenStreams(second.sockets, handler);
    if (typeof early !== 'string') early.close();
    await harness.poll();
    const late = harness.host.listenStreams(second.sockets, handler);
    await harness.poll();
    assert.deepEqual(failures, ['EADDRINUSE 0']);
    if (typeof late !== 'string') late.close();
  });

  it('says at once that a UDP address is in use, and binds none of the row', async () => {
    const harness = createNodeHarness({ services: new Map() });
    const first = await harness.bind('udp', [{ address: LOOPBACK4, index: 0 }]);
    const second = await harness.bind('udp', [{ address: LOOPBACK4, index: 1 }]);
    const handler = { readable: (): void => {} };
    const holder = harness.host.serveDatagrams(first.sockets, handler);
    assert.ok(typeof holder !== 'string');
    assert.equal(harness.host.serveDatagrams(join(second.sockets, first.sockets), handler), 'EADDRINUSE');
    const other = harness.host.serveDatagrams(second.sockets, handler);
    assert.ok(typeof other !== 'string');
    holder.close();
    other.close();
  });

  it('closes a descriptor that cannot become a stream', () => {
    const harness = createNodeHarness({ services: new Map() });
    const file = openSync('/dev/null', 'r');
    const handler = { connected() {}, failed() {}, readable() {}, writable() {} };
    assert.equal(typeof harness.host.adoptStream(file, handler), 'string');
    assert.throws(() => fstatSync(file), { code: 'EBADF' });
  });
});

function join(...rows: readonly BoundSockets[]): BoundSockets {
  return { kind: 'addresses', addresses: rows.flatMap((row) => (row.kind === 'addresses' ? row.addresses : [])) };
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ForwardStatus } from '../../../src/config/forward.ts';
import { createNamespace, nsExec } from '../../support/namespace.ts';
import { needs, needsRoot } from '../../support/needs.ts';
import { Slipway } from '../../support/slipway.ts';
import { spec } from './table-world.ts';

test('a forward at an address that comes with a VPN comes up with it, IPv4 and IPv6', async (t) => {
  if (!needsRoot(t) || !needs(t, 'ip', 'nsenter')) return;
  const namespace = createNamespace(t, 'vpn');
  const slipway = await Slipway.start(t, { namespace, guest: false });
  for (const [shown, address] of [
    ['10.8.0.1', '10.8.0.1/32'],
    ['[fd00::8]', 'fd00::8/128'],
  ] as const) {
    const waiting = await slipway.ask<ForwardStatus>({
      ask: 'add',
      spec: spec(`${shown}:8080:80`, { waitSeconds: 60 }),
    });
    assert.deepEqual([waiting.state, waiting.code, waiting.boundPort], ['waiting', 'ERR_PORT_ADDRESS', 0]);
    const from = slipway.said.length;
    nsExec(namespace, 'ip', 'address', 'add', address, 'dev', 'lo');
    const { forward } = await slipway.hear(({ event }) => event === 'forward', from);
    const { id, code, boundPort } = forward as ForwardStatus;
    assert.deepEqual([id, code, boundPort], [`tcp:${shown}:8080`, '', 8080]);
    assert.match(nsExec(namespace, 'ss', '-Hltn', 'sport = :8080'), new RegExp(shown.replace(/[[\]]/g, '\\$&')));
  }
});

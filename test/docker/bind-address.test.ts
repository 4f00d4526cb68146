import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DOCKER_BINDS } from '../../src/config/docker.ts';
import { bindAddress } from '../../src/docker/ports/bind-address.ts';

test('ports without an address go where the setting says, and only local-only overrules one', () => {
  const asked = ['', '0.0.0.0', '::', '127.0.0.3', '::1', '192.0.2.7'];
  const bound = Object.fromEntries(DOCKER_BINDS.map((bind) => [bind, asked.map((ip) => bindAddress(ip, bind))]));
  assert.deepEqual(bound, {
    all: asked,
    local: ['127.0.0.1', ...asked.slice(1)],
    'local-only': ['127.0.0.1', '127.0.0.1', '::1', '127.0.0.3', '::1', '192.0.2.7'],
  });
});

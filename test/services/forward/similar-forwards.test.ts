import assert from 'node:assert/strict';
import { test } from 'node:test';
import { similarForwards } from '../../../src/services/forward/similar-forwards.ts';

const IDS = ['tcp:*:8080', 'tcp:127.0.0.1:24005', 'tcp:[::1]:24005', 'udp:127.0.0.1:53', 'unix:/run/docker.sock'];

test('for a name that is no forward the one with its port is found, else the one that is a slip away', () => {
  assert.deepEqual(similarForwards('24005', IDS), ['tcp:127.0.0.1:24005', 'tcp:[::1]:24005']);
  assert.deepEqual(similarForwards('127.0.0.2:24005', IDS), ['tcp:127.0.0.1:24005', 'tcp:[::1]:24005']);
  assert.deepEqual(similarForwards('53', IDS), ['udp:127.0.0.1:53']);
  assert.deepEqual(similarForwards('808', IDS), ['tcp:*:8080']);
  assert.deepEqual(similarForwards('tcp:*:8081', IDS), ['tcp:*:8080']);
  assert.deepEqual(similarForwards('/run/dcoker.sock', IDS), ['unix:/run/docker.sock']);
  assert.deepEqual(similarForwards('9999', IDS), []);
});

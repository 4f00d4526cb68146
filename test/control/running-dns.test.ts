import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolveConfig } from '../../src/config/config.ts';
import { startNetwork } from '../../src/control/start-network.ts';
import { describeMessage } from '../../src/services/dns/described-message.ts';
import { DNS_TYPE_A } from '../../src/wire/dns-message.ts';

test('zones of a running network come and go, and what they answered is in its status', async (t) => {
  const log = { info() {}, warn() {}, error() {} };
  const network = await startNetwork(resolveConfig({ engine: 'node' }), log, assert.fail);
  t.after(() => network.stop());
  const { dns } = network;
  const lookup = async (): Promise<string[]> => {
    const message = await dns.lookup({ name: 'api.dev.example', type: DNS_TYPE_A, server: 'internal' });
    const { rcode, answer } = describeMessage(message);
    return [rcode, ...answer.map(({ data }) => data)];
  };
  assert.deepEqual(await lookup(), ['REFUSED']);
  dns.zones.setZone({ name: 'dev.example', records: [{ name: 'api', data: { type: 'A', address: 0x0a00_0001 } }] });
  assert.deepEqual(await lookup(), ['NOERROR', '10.0.0.1']);
  dns.flush();
  assert.deepEqual(await lookup(), ['NOERROR', '10.0.0.1']);
  dns.zones.removeZone('dev.example');
  assert.deepEqual(await lookup(), ['REFUSED']);
  assert.equal((await network.status()).counters['dns-zone-answer'], 2);
});

import assert from 'node:assert/strict';
import { closeSync, readSync } from 'node:fs';
import { test } from 'node:test';
import { addDefaultRoute, configureInterface, openTap, VNET_HEADER_BYTES } from '../../../src/host/namespace/ioctl.ts';
import { createNamespace, inNamespace, nsExec } from '../../support/namespace.ts';
import { needs, needsRoot, needsTun } from '../../support/needs.ts';

test('a tap opened in another namespace belongs there, is configured there, and goes with its descriptor', (t) => {
  if (!needsRoot(t) || !needsTun(t) || !needs(t, 'ip', 'nsenter')) return;
  const namespace = createNamespace(t);
  const tap = inNamespace(namespace, () => {
    const made = openTap({ name: 'tap7', vnetHeader: true });
    configureInterface('tap7', { mac: 0x5a94efe40cee, mtu: 9000, txQueueLength: 321, address: 0x0a000002, prefix: 22 });
    addDefaultRoute('tap7', 0x0a000001);
    return made;
  });
  assert.deepEqual([tap.offloads.checksum, tap.offloads.tcpSegmentation], [true, true]);
  const link = nsExec(namespace, 'ip', 'address', 'show', 'tap7');
  assert.match(link, /mtu 9000 .* state UNKNOWN .*qlen 321/);
  assert.match(link, /link\/ether 5a:94:ef:e4:0c:ee/);
  assert.match(link, /inet 10\.0\.0\.2\/22 brd 10\.0\.3\.255/);
  assert.match(nsExec(namespace, 'ip', 'route'), /^default via 10\.0\.0\.1 dev tap7 *$/m);
  closeSync(tap.fd);
  assert.throws(() => nsExec(namespace, 'ip', 'link', 'show', 'tap7'), /does not exist/);
});

test('without the virtio header frames are bare and no offload is granted', (t) => {
  if (!needsRoot(t) || !needsTun(t) || !needs(t, 'ip', 'nsenter', 'bash')) return;
  const namespace = createNamespace(t);
  const sizes = [false, true].map((vnetHeader) => {
    const tap = inNamespace(namespace, () => {
      const made = openTap({ name: 'tap0', vnetHeader });
      nsExec(namespace, 'sh', '-c', 'echo 1 > /proc/sys/net/ipv6/conf/tap0/disable_ipv6');
      configureInterface('tap0', { address: 0x0a000002 });
      return made;
    });
    if (!vnetHeader) assert.deepEqual(Object.values(tap.offloads), [false, false, false]);
    nsExec(namespace, 'bash', '-c', 'echo hello > /dev/udp/10.0.0.1/9');
    const length = readSync(tap.fd, Buffer.alloc(2048));
    closeSync(tap.fd);
    return length;
  });
  assert.deepEqual(sizes, [42, 42 + VNET_HEADER_BYTES]);
});

test('names that the kernel would cut, and calls that it refuses, throw with the reason', (t) => {
  if (!needsRoot(t)) return;
  assert.throws(() => configureInterface('a-name-of-16-byt', {}), RangeError);
  assert.throws(() => configureInterface('no-such-device', {}), {
    code: 'ERR_SYSTEM_CALL',
    message: 'reading the flags of no-such-device failed: ENODEV',
  });
  assert.throws(() => configureInterface('no-such-device', { txQueueLength: 5 }), {
    code: 'ERR_SYSTEM_CALL',
    message: 'setting the queue length of no-such-device failed: ENODEV',
  });
});

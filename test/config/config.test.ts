import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mergeConfig, resolveConfig } from '../../src/config/config.ts';
import type { DhcpInput } from '../../src/config/dhcp.ts';
import { SlipwayError } from '../../src/facts/errors.ts';
import { FORWARD_DEFAULTS, type ForwardSpec } from '../../src/config/forward.ts';
import { parseListenUrl } from '../../src/config/listen.ts';
import { parsePortSpec } from '../../src/config/port-spec.ts';
import { parseCidr } from '../../src/wire/cidr.ts';
import { formatIpv4Address, parseIpv4Address } from '../../src/wire/ipv4-address.ts';

const at = (text: string): number => parseIpv4Address(text)!;

test('without a word from anyone the network is 192.168.65.0/24', () => {
  const config = resolveConfig({});
  assert.equal(formatIpv4Address(config.network.gateway), '192.168.65.1');
  assert.equal(formatIpv4Address(config.network.hostAddress), '192.168.65.254');
  assert.equal(config.network.mtu, 1500);
  assert.equal(config.hostLoopback, true);
  assert.equal(config.engine, 'auto');
});

test('the result is frozen throughout', () => {
  const config = resolveConfig({});
  assert.ok(Object.isFrozen(config) && Object.isFrozen(config.network) && Object.isFrozen(config.network.subnet));
  assert.ok(Object.isFrozen(config.dns.hostNames) && Object.isFrozen(config.listen));
});

test('gateway and host address follow the subnet', () => {
  const { network } = resolveConfig({ network: { subnet: parseCidr('10.87.0.0/16') } });
  assert.equal(formatIpv4Address(network.gateway), '10.87.0.1');
  assert.equal(formatIpv4Address(network.hostAddress), '10.87.255.254');
});

test('a gateway at the end of the subnet moves the host address before it', () => {
  const { network } = resolveConfig({ network: { gateway: at('192.168.65.254') } });
  assert.equal(formatIpv4Address(network.hostAddress), '192.168.65.253');
});

test('addresses that do not fit together are refused with what would', () => {
  const cases: [Parameters<typeof resolveConfig>[0], RegExp][] = [
    [{ network: { gateway: at('10.0.0.1') } }, /gateway 10\.0\.0\.1 is outside of the subnet 192\.168\.65\.0\/24/],
    [{ network: { gateway: at('192.168.65.0') } }, /is the network address of/],
    [{ network: { hostAddress: at('192.168.65.255') } }, /host address 192\.168\.65\.255 is the broadcast address of/],
    [{ network: { gateway: at('192.168.65.7'), hostAddress: at('192.168.65.7') } }, /are both 192\.168\.65\.7/],
    [{ network: { subnet: parseCidr('127.0.0.0/8') } }, /is loopback/],
    [{ network: { subnet: parseCidr('224.0.0.0/24') } }, /is multicast/],
  ];
  for (const [input, expected] of cases) {
    assert.throws(
      () => resolveConfig(input),
      (error: unknown) =>
        error instanceof SlipwayError &&
        error.code === 'ERR_ADDRESSES' &&
        expected.test(error.message) &&
        error.hint !== '',
    );
  }
});

test('a hint names no address that would be refused', () => {
  const hint = (input: Parameters<typeof resolveConfig>[0]): string => {
    try {
      resolveConfig(input);
    } catch (error) {
      return (error as SlipwayError).hint;
    }
    return '';
  };
  const [outside, gateway, hostAddress] = [at('10.0.0.1'), at('192.168.65.1'), at('192.168.65.9')];
  const ports = parsePortSpec('80:80');
  assert.ok(Array.isArray(ports));
  const forward: ForwardSpec = { ...FORWARD_DEFAULTS, ...ports[0], owner: 'config' };
  const to = (address: number): ForwardSpec => ({ ...forward, guest: { kind: 'port', address, port: 80 } });
  const service = { protocol: 'tcp', address: hostAddress, target: { kind: 'unix', path: '/x' } } as const;
  const reserved = (address: number): DhcpInput => ({ reservations: [{ mac: 0x5a94ef000001, address }] });
  assert.deepEqual(
    [
      hint({ forwards: [to(gateway)] }),
      hint({ forwards: [to(hostAddress)], network: { hostAddress } }),
      hint({ services: [service], network: { hostAddress } }),
      hint({ dhcp: reserved(gateway) }),
      hint({ dhcp: reserved(outside) }),
      hint({ network: { gateway: outside, hostAddress } }),
      hint({ network: { hostAddress: outside } }),
    ],
    [
      'Choose one from 192.168.65.2 to 192.168.65.253.',
      'Choose one from 192.168.65.2 to 192.168.65.254, except 192.168.65.9.',
      'Choose a free one from 192.168.65.1 to 192.168.65.254, except 192.168.65.9.',
      'Choose one from 192.168.65.2 to 192.168.65.253.',
      'Choose one from 192.168.65.2 to 192.168.65.253.',
      'Choose one from 192.168.65.1 to 192.168.65.254, except 192.168.65.9.',
      'Choose one from 192.168.65.2 to 192.168.65.254.',
    ],
  );
});

test('what a flag says wins over the file, and what no flag says stays', () => {
  const file = {
    network: { mtu: 9000, gateway: at('192.168.65.2') },
    engine: 'node',
    log: { level: 'debug' },
  } as const;
  const config = resolveConfig(mergeConfig(file, { network: { mtu: 1400, gateway: undefined }, engine: undefined }));
  assert.equal(config.network.mtu, 1400);
  assert.equal(config.network.gateway, at('192.168.65.2'));
  assert.equal(config.engine, 'node');
  assert.equal(config.log.level, 'debug');
});

test('an address to attach at stands there once; a port that is chosen is another each time', () => {
  const listen = (...texts: readonly string[]): unknown =>
    resolveConfig({
      listen: texts.map((text) => {
        const url = parseListenUrl(text);
        assert.ok(typeof url === 'object');
        return url;
      }),
    });
  for (const [one, other] of [
    ['qemu+unix:///tmp/a.sock', 'qemu+unix:///tmp/%61.sock'],
    ['qemu+tcp://127.0.0.1:4444', 'qemu+tcp://localhost:4444'],
  ] as const) {
    assert.throws(() => listen(one, 'qemu+tcp://127.0.0.1:1', other), {
      code: 'ERR_CONFIG_INVALID',
      message: `listen: ${other} is listed twice`,
    });
  }
  listen('qemu+tcp://127.0.0.1:0', 'qemu+tcp://127.0.0.1:0', 'qemu+unix:///tmp/a.sock', 'qemu+unix:///tmp/b.sock');
});

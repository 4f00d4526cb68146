import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Config, resolveConfig } from '../../src/config/config.ts';
import type { SlipwayError } from '../../src/facts/errors.ts';
import { type ForwardSpec, forwardId } from '../../src/config/forward.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { parseIpv4Address } from '../../src/wire/ipv4-address.ts';
import { configProblem } from '../support/config-problem.ts';
import { GATEWAY_SERVICES } from '../../src/facts/gateway-ports.ts';

const at = (text: string): number => parseIpv4Address(text)!;
const configOf = (text: string): Config => resolveConfig(parseConfig(text, 'slipway.yaml'));
const forwardsOf = (lines: string): readonly ForwardSpec[] => configOf(`forwards:\n${lines}`).forwards;

const problem = (text: string): SlipwayError => configProblem(() => configOf(text));

test('no service takes away from all guests what Slipway serves at the gateway', () => {
  for (const [place, name] of GATEWAY_SERVICES) {
    const [protocol, port] = place.split(':');
    const { code, message } = problem(`services: [{ protocol: ${protocol}, port: ${port}, target: "127.0.0.1:1" }]`);
    assert.equal(code, 'ERR_CONFIG_INVALID', name);
    assert.ok(message.includes(`services.0.port: the gateway's ${protocol} port ${port} is the `), message);
  }
  const elsewhere = `
services:
  - { port: 53, address: 192.168.65.9, target: "127.0.0.1:1" }
  - { port: 80, protocol: udp, target: "127.0.0.1:1" }
  - { address: 192.168.65.1, target: 127.0.0.1 }`;
  assert.equal(configOf(elsewhere).services.length, 3);
  assert.equal(configOf('api: { guest: none }\nservices: [{ port: 80, target: "127.0.0.1:1" }]').services.length, 1);
});

test('a text is what docker run -p takes, and all else is as by default', () => {
  const [forward, chosen] = forwardsOf('  - 127.0.0.1:8080:80\n  - 443');
  assert.deepEqual(forward, {
    protocol: 'tcp',
    host: { kind: 'port', address: '127.0.0.1', port: 8080 },
    guest: { kind: 'port', address: undefined, port: 80 },
    count: 1,
    ipv4Only: false,
    source: 'client',
    proxy: 'none',
    waitSeconds: 0,
    persistent: false,
    owner: 'config',
  });
  assert.deepEqual(chosen?.host, { kind: 'port', address: '', port: 0 });
});

test('every key of a forward is read', () => {
  const [udp, range, file, ssh, choice] = forwardsOf(`
  - { host: "[0::1]:53", guest: 192.168.65.3:5353, protocol: udp }
  - { host: 8000-8100, guest: 9000-9100, source: gateway, proxy: v2, waitSeconds: 30, ipv4Only: true }
  - { host: /run/web.sock, guest: 80 }
  - { host: /run/podman.sock, ssh: { user: core, path: /run/guest.sock, keyFile: /home/me/key, address: 192.168.65.4, passphrase: x } }
  - { host: "*:7000-7010", guest: 70 }`);
  assert.equal(forwardId(udp!), 'udp:[::1]:53');
  assert.deepEqual(udp?.guest, { kind: 'port', address: at('192.168.65.3'), port: 5353 });
  assert.equal(forwardId(range!), 'tcp:*:8000-8100');
  const { count, source, proxy, waitSeconds, ipv4Only } = range!;
  assert.deepEqual(
    { count, source, proxy, waitSeconds, ipv4Only },
    { count: 101, source: 'gateway', proxy: 'v2', waitSeconds: 30, ipv4Only: true },
  );
  assert.equal(forwardId(file!), 'unix:/run/web.sock');
  assert.equal(file?.protocol, 'unix');
  assert.deepEqual(ssh?.guest, {
    kind: 'ssh',
    address: at('192.168.65.4'),
    port: 22,
    user: 'core',
    path: '/run/guest.sock',
    keyFile: '/home/me/key',
    passphrase: 'x',
  });
  assert.deepEqual(choice?.host, { kind: 'port', address: '', port: 7000, lastPort: 7010 });
});

test('a service is at the gateway unless it has an address of its own', () => {
  const { services } = configOf(`
services:
  - { port: 8000, target: 127.0.0.1:9000 }
  - { address: 192.168.65.10, name: db.docker.internal, port: 5432, target: 127.0.0.1:5432 }
  - { address: 192.168.65.11, target: 127.0.0.1, protocol: udp }
  - { port: 8001, target: "unix:/run/x.sock" }`);
  const local = at('127.0.0.1');
  assert.deepEqual(services, [
    {
      protocol: 'tcp',
      address: at('192.168.65.1'),
      port: 8000,
      name: '',
      target: { kind: 'port', address: local, port: 9000 },
    },
    {
      protocol: 'tcp',
      address: at('192.168.65.10'),
      port: 5432,
      name: 'db.docker.internal',
      target: { kind: 'port', address: local, port: 5432 },
    },
    {
      protocol: 'udp',
      address: at('192.168.65.11'),
      port: 0,
      name: '',
      target: { kind: 'port', address: local, port: 0 },
    },
    {
      protocol: 'tcp',
      address: at('192.168.65.1'),
      port: 8001,
      name: '',
      target: { kind: 'unix', path: '/run/x.sock' },
    },
  ]);
});

test('what does not fit names its place and what was expected', () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    [
      'forwards:\n  - 8080:http',
      /slipway.yaml:2: forwards.0: expected a port of the guest from 1 to 65535.*found "8080:http"/,
    ],
    [
      'forwards:\n  - { host: 80, guest: 80, protocl: udp }',
      /forwards.0.protocl: unknown key; did you mean protocol|forwards.0.protocl: unknown key/,
    ],
    ['forwards:\n  - { host: 80 }', /forwards.0: expected either guest or ssh/],
    [
      'forwards:\n  - { host: web, guest: 80 }',
      /forwards.0.host: expected a port of this computer such as 8080.*found "web"/,
    ],
    ['forwards:\n  - { host: 80-81, guest: 80-82 }', /expected two ranges of equal length/],
    ['forwards:\n  - { host: 80, guest: "guest:80" }', /forwards.0.guest: expected a port of the guest/],
    ['forwards:\n  - { host: /run/a.sock, guest: 80, protocol: tcp }', /no protocol when host is the path/],
    [
      'forwards:\n  - { host: 80, ssh: { user: a, path: /a, keyFile: /k } }',
      /the path of a socket as host when ssh is given/,
    ],
    [
      'forwards:\n  - { host: /run/a.sock, ssh: { user: a, path: a, keyFile: /k } }',
      /forwards.0.ssh.path: expected an absolute path/,
    ],
    ['services:\n  - { target: 127.0.0.1 }', /services.0: expected port, address or both/],
    ['services:\n  - { port: 80, protocol: udp, target: "unix:/a" }', /expected tcp when the target is a unix socket/],
    ['services:\n  - { address: 192.168.65.9, target: "127.0.0.1:1" }', /expected a port when the target has one/],
    ['services:\n  - { port: 80, target: "localhost:1" }', /services.0.target: expected a service of this computer/],
  ];
  for (const [text, pattern] of cases) assert.match(problem(text).message, pattern);
});

test('ends that cannot be are refused with the addresses that can', () => {
  const outside = problem('forwards: [{ host: 80, guest: "10.0.0.1:80" }]');
  assert.equal(outside.code, 'ERR_ADDRESSES');
  assert.match(outside.message, /tcp:\*:80: 10.0.0.1 is not a guest's address in 192.168.65.0\/24/);
  assert.match(problem('forwards: [{ host: 80, guest: "192.168.65.1:80" }]').message, /not a guest's address/);
  assert.match(problem('forwards: [80:80, 80:81]').message, /tcp:\*:80 is listed twice/);
  assert.match(problem('services: [{ address: 10.0.0.1, target: 127.0.0.1 }]').message, /outside of the subnet/);
  assert.match(problem('services: [{ address: 192.168.65.254, target: 127.0.0.1 }]').message, /is the host address/);
  assert.match(
    problem('services: [{ port: 1, target: "127.0.0.1:1" }, { port: 1, target: "127.0.0.1:2" }]').message,
    /services.1: tcp 192.168.65.1:1 is listed twice/,
  );
  assert.equal(forwardsOf('  - 80\n  - 80').length, 2, 'two chosen ports are two');
});

test('a service cannot have a name that means something already, or that another address has', () => {
  const named = (name: string, more = ''): string =>
    `services: [{ address: 192.168.65.10, port: 80, name: ${name}, target: "127.0.0.1:80" }${more}]`;
  const own = [
    'host.docker.internal',
    'Gateway.Docker.Internal',
    'vm.docker.internal',
    'web.vm.docker.internal',
    'http.docker.internal',
    'kubernetes.docker.internal',
    'docker.for.mac.localhost',
    'docker.for.win.host.internal',
    'host.containers.internal',
    'gateway.containers.internal',
    'host.lima.internal',
  ];
  for (const name of own) {
    const { code, message, hint } = problem(named(name));
    assert.equal(code, 'ERR_CONFIG_INVALID', name);
    assert.match(message, /services\.0\.name: .* is one of Slipway's own names/);
    assert.match(hint, /Choose another name/);
  }
  assert.match(problem(`${named('pc.example')}\ndns: { hostNames: [pc.example] }`).message, /services\.0\.name/);
  const twice = ', { address: 192.168.65.11, port: 80, name: db.example, target: "127.0.0.1:81" }';
  const { message, hint } = problem(named('db.example', twice));
  assert.match(message, /services\.1\.name: db\.example is the name of 192\.168\.65\.10 already/);
  assert.match(hint, /Choose another name/);
  const again = ', { address: 192.168.65.10, port: 81, name: db.example, target: "127.0.0.1:81" }';
  assert.equal(configOf(named('db.example', again)).services.length, 2);
});

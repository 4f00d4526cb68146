import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SlipwayError } from '../../src/facts/errors.ts';
import { parseConfig, readConfigFile } from '../../src/config/parse.ts';
import { parseIpv4Address } from '../../src/wire/ipv4-address.ts';
import { configProblem } from '../support/config-problem.ts';

const problem = (text: string): SlipwayError => configProblem(() => parseConfig(text, 'slipway.yaml'));

test('an empty file and a file of comments say nothing', () => {
  assert.deepEqual(parseConfig('', 'slipway.yaml'), {});
  assert.deepEqual(parseConfig('# nothing here\n', 'slipway.yaml'), {});
});

test('every key is read', () => {
  const input = parseConfig(
    `network:
  subnet: 10.87.0.0/16
  gateway: 10.87.0.1
  hostAddress: 10.87.0.2
  mtu: 9000
listen:
  - qemu+unix:///run/slipway.sock
  - qemu+tcp://127.0.0.1:4444?connect
hostLoopback: false
engine: node
limits: { flows: 1000, dialsInFlight: 10, udpMappings: 64, guests: 2 }
log: { level: debug }
dns:
  ttlSeconds: 5
  lookups: 16
  hostNames: [Host.Example.]
  gatewayNames: []
`,
    'slipway.yaml',
  );
  assert.equal(input.network?.subnet?.prefix, 16);
  assert.equal(input.network?.gateway, parseIpv4Address('10.87.0.1'));
  assert.equal(input.network?.mtu, 9000);
  assert.equal(input.listen?.length, 2);
  assert.equal(input.listen?.[1]?.connect, true);
  assert.equal(input.hostLoopback, false);
  assert.equal(input.engine, 'node');
  assert.deepEqual(input.limits, { flows: 1000, dialsInFlight: 10, udpMappings: 64, guests: 2 });
  assert.deepEqual(input.dns?.hostNames, ['host.example']);
});

test('a value of the wrong kind is named with file, line, key, what was expected and what was found', () => {
  const error = problem('network:\n  subnet: 10.0.0.0/24\n  mtu: big\n');
  assert.equal(error.code, 'ERR_CONFIG_INVALID');
  assert.equal(error.message, 'slipway.yaml:3: network.mtu: expected an integer from 576 to 65520, found "big"');
});

test('an unknown key is refused and the nearest known one is offered', () => {
  assert.equal(
    problem('# a comment\nnetwork:\n  gatway: 10.0.0.1\n').message,
    'slipway.yaml:3: network.gatway: unknown key; did you mean "gateway"?',
  );
  assert.equal(problem('lisen: []\n').message, 'slipway.yaml:1: lisen: unknown key; did you mean "listen"?');
  assert.match(
    problem('log:\n  colour: red\n').message,
    /^slipway.yaml:2: log.colour: unknown key \(known here: level\)$/,
  );
});

test('all problems are told, in the order of the file', () => {
  const lines = problem('hostLoopback: perhaps\nlimits:\n  flows: 1.5\n  floes: 3\nengine: fast\n').message.split('\n');
  assert.deepEqual(lines, [
    'slipway.yaml:1: hostLoopback: expected true or false, found "perhaps"',
    'slipway.yaml:3: limits.flows: expected an integer from 16 to 1000000, found 1.5',
    'slipway.yaml:4: limits.floes: unknown key; did you mean "flows"?',
    'slipway.yaml:5: engine: expected one of auto, epoll, node, found "fast"',
  ]);
});

test('an entry of a list is named by its place', () => {
  const { message } = problem('listen:\n  - qemu+unix:///run/a.sock\n  - qemu+tcp://0.0.0.0:4444\n');
  assert.match(
    message,
    /^slipway.yaml:3: listen\.1: expected a loopback address such as 127\.0\.0\.1: .*, found "qemu\+tcp:/,
  );
});

test('a section that is no section and a file that is no map are told as such', () => {
  assert.equal(problem('network: 12\n').message, 'slipway.yaml:1: network: expected keys with values, found 12');
  assert.equal(problem('listen: qemu\n').message, 'slipway.yaml:1: listen: expected a list, found "qemu"');
  assert.match(problem('- a\n- b\n').message, /^slipway.yaml:1: expected keys with values, found \["a","b"\]$/);
});

test('text that is not YAML is refused with its line', () => {
  const error = problem('network:\n  mtu: "1500\nengine: node\n');
  assert.equal(error.code, 'ERR_CONFIG_SYNTAX');
  assert.match(error.message, /^slipway\.yaml:\d+: /);
});

test('a file that cannot be read is named with the reason', () => {
  assert.throws(
    () => readConfigFile('/nonexistent/slipway.yaml'),
    (error: unknown) =>
      error instanceof SlipwayError && error.code === 'ERR_CONFIG_READ' && /ENOENT/.test(error.message),
  );
});

test('an alias without an end or without a beginning is an error with its line', () => {
  for (const [text, line, why] of [
    ['x: &a [*a,*a]\nlisten: *a\n', 1, '*a is inside the value that it stands for'],
    ['network:\n  x: &a\n    <<: *a\n', 3, '*a is inside the value that it stands for'],
    ['log: {}\nlisten: [ *.example ]\n', 2, '*.example has no anchor &.example before it'],
  ] as const) {
    const error = problem(text);
    assert.equal(error.code, 'ERR_CONFIG_SYNTAX');
    assert.equal(error.message, `slipway.yaml:${line}: the alias ${why}`);
  }
  const tenfold = (to: string, from: string): string => `${to}: &${to} [${Array(11).fill(`*${from}`).join()}]\n`;
  const bomb = problem(`a: &a [1,1,1]\n${tenfold('b', 'a')}${tenfold('c', 'b')}${tenfold('d', 'c')}`);
  assert.equal(bomb.code, 'ERR_CONFIG_SYNTAX');
  assert.match(bomb.hint, /at most 100/);
});

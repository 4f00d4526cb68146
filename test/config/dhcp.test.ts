import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { resolveConfig } from '../../src/config/config.ts';
import { clientIdentifier, type DhcpConfig, macAddress } from '../../src/config/dhcp.ts';
import { optionCode, optionHex } from '../../src/config/dhcp-custom-option.ts';
import type { SlipwayError } from '../../src/facts/errors.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { Mismatch } from '../../src/config/values.ts';
import { parseCidr } from '../../src/wire/cidr.ts';
import { parseIpv4Address } from '../../src/wire/ipv4-address.ts';
import { configProblem } from '../support/config-problem.ts';

const at = (text: string): number => parseIpv4Address(text)!;
const dhcpOf = (text: string): DhcpConfig => resolveConfig(parseConfig(text, 'slipway.yaml')).dhcp;

const problem = (text: string): SlipwayError => configProblem(() => dhcpOf(text));

test('without a word the subnet from its third address is handed out for a day', () => {
  const { range, leaseSeconds, probe, reservations, leasesPerGuest } = resolveConfig({}).dhcp;
  assert.deepEqual(range, { first: at('192.168.65.3'), last: at('192.168.65.254') });
  assert.deepEqual(
    { leaseSeconds, probe, reservations, leasesPerGuest },
    {
      leaseSeconds: 86_400,
      probe: true,
      reservations: [],
      leasesPerGuest: 64,
    },
  );
});

test('every key is read', () => {
  const dhcp = dhcpOf(`dhcp:
  leaseSeconds: 600
  range: { first: 192.168.65.100, last: 192.168.65.200 }
  domain: Corp.Example
  search: [corp.example, example]
  ntp: [192.168.65.254]
  dns: [192.168.65.1, 1.1.1.1]
  routes: [{ to: 10.0.0.0/8, via: 192.168.65.254 }]
  options:
    - { code: 66, text: tftp.example }
    - { code: 43, hex: "0a:00 FF" }
    - { code: 44, addresses: [10.0.0.1, 10.0.0.2] }
    - { code: 23, u8: 64 }
    - { code: 13, u16: 258 }
    - { code: 2, u32: 4294967295 }
  reservations:
    - { mac: "5A:94:ef:00:00:01", address: 192.168.65.20, name: Web }
    - { clientId: "ff:00:01", address: 192.168.65.21 }
    - { clientId: phone, name: phone }
  leasesPerGuest: 3
  probe: false
`);
  assert.deepEqual(dhcp, {
    leaseSeconds: 600,
    range: { first: at('192.168.65.100'), last: at('192.168.65.200') },
    domainName: 'corp.example',
    searchDomains: ['corp.example', 'example'],
    ntpServers: [at('192.168.65.254')],
    dnsServers: [at('192.168.65.1'), at('1.1.1.1')],
    routes: [{ destination: parseCidr('10.0.0.0/8'), via: at('192.168.65.254') }],
    customOptions: [
      { code: 66, bytes: Uint8Array.from(Buffer.from('tftp.example')) },
      { code: 43, bytes: Uint8Array.of(0x0a, 0, 0xff) },
      { code: 44, bytes: Uint8Array.of(10, 0, 0, 1, 10, 0, 0, 2) },
      { code: 23, bytes: Uint8Array.of(64) },
      { code: 13, bytes: Uint8Array.of(1, 2) },
      { code: 2, bytes: Uint8Array.of(255, 255, 255, 255) },
    ],
    reservations: [
      { mac: 0x5a94ef000001, address: at('192.168.65.20'), name: 'web' },
      { clientKey: 'id-ff0001', address: at('192.168.65.21') },
      { clientKey: 'id-70686f6e65', name: 'phone' },
      { clientKey: 'id-0070686f6e65', name: 'phone' },
    ],
    leasesPerGuest: 3,
    probe: false,
  });
});

test('what does not fit the subnet is refused with key and range', () => {
  const cases: [string, RegExp][] = [
    [
      'range: { first: 10.0.0.1, last: 10.0.0.9 }',
      /^dhcp\.range\.first: 10\.0\.0\.1 is not a guest's address in the subnet/,
    ],
    ['range: { first: 192.168.65.9, last: 192.168.65.255 }', /^dhcp\.range\.last: 192\.168\.65\.255 is not a guest's/],
    ['range: { first: 192.168.65.9, last: 192.168.65.8 }', /^dhcp\.range: first 192\.168\.65\.9 comes after last/],
    ['range: { first: 192.168.65.1, last: 192.168.65.1 }', /^dhcp\.range: gateway and host address leave no address/],
    ['routes: [{ to: 10.0.0.0/8, via: 10.0.0.1 }]', /^dhcp\.routes\.0\.via: 10\.0\.0\.1 is not a guest's/],
    [
      'reservations: [{ mac: 02:00:00:00:00:01, address: 10.0.0.1 }]',
      /^dhcp\.reservations\.0\.address: 10\.0\.0\.1 is/,
    ],
    ['reservations: [{ mac: 02:00:00:00:00:01, address: 192.168.65.1 }]', /192\.168\.65\.1 is the gateway$/],
    ['reservations: [{ mac: 02:00:00:00:00:01, address: 192.168.65.254 }]', /192\.168\.65\.254 is the host address$/],
  ];
  for (const [text, expected] of cases) {
    const error = problem(`dhcp:\n  ${text}\n`);
    assert.equal(error.code, 'ERR_ADDRESSES');
    assert.match(error.message, expected);
    assert.notEqual(error.hint, '');
  }
});

test('what is reserved twice is refused with the place of the first', () => {
  const twice = (first: string, second: string): string =>
    problem(`dhcp:\n  reservations:\n    - { ${first} }\n    - { ${second} }\n`).message;
  const [a, b] = ['mac: 02:00:00:00:00:01', 'mac: 02:00:00:00:00:02'];
  assert.equal(
    twice(`${a}, name: x`, `${a}, name: y`),
    'dhcp.reservations.1: the MAC 02:00:00:00:00:01 is reserved already, by dhcp.reservations.0',
  );
  assert.match(twice(`${a}, name: x`, `${b}, name: X`), /: the name x is reserved already/);
  assert.match(twice(`${a}, address: 192.168.65.9`, `${b}, address: 192.168.65.9`), /: the address 192\.168\.65\.9 is/);
  assert.match(twice('clientId: ab, name: x', 'clientId: "0x6162", name: y'), /: the client identifier 6162 is/);
});

test('a reservation says who and what, an option says one value', () => {
  const { message, code } = problem(
    'dhcp:\n  reservations:\n    - { address: 192.168.65.9 }\n    - { mac: 02:00:00:00:00:01 }\n',
  );
  assert.equal(code, 'ERR_CONFIG_INVALID');
  assert.match(message, /^slipway\.yaml:3: dhcp\.reservations\.0: expected mac or clientId, .*, found \{"address"/);
  assert.match(message, /\nslipway\.yaml:4: dhcp\.reservations\.1: expected address or name/);
  assert.match(
    problem('dhcp:\n  options: [{ code: 66 }]\n').message,
    /^slipway\.yaml:2: dhcp\.options\.0: expected one of text, hex, addresses, u8, u16, u32 beside the code/,
  );
  assert.match(problem('dhcp:\n  options: [{ code: 66, text: a, u8: 1 }]\n').message, /expected one of text, hex/);
  assert.match(
    problem('dhcp:\n  options: [{ code: 66, text: a }, { code: 66, text: b }]\n').message,
    /dhcp\.options\.1\.code: expected each option code once, found 66$/,
  );
  assert.match(problem('dhcp:\n  options: [{ code: 66, txt: a }]\n').message, /options\.0\.txt: .*"text"\?/);
});

test('an option that Slipway or the protocol sets is refused, with the key that does', () => {
  assert.match((optionCode(6) as Mismatch).expected, /6 is set by dhcp\.dns/);
  assert.match((optionCode(53) as Mismatch).expected, /the protocol itself/);
  for (const code of [0, 255, 1.5, '66']) assert.ok(optionCode(code) instanceof Mismatch, String(code));
  for (const code of [43, 60, 66, 67, 150, 252, 254]) assert.equal(optionCode(code), code);
});

test('a client identifier is hexadecimal or text, and one that is a MAC counts as the MAC', () => {
  assert.deepEqual(clientIdentifier('01:5a:94:ef:00:00:01'), ['5a94ef000001']);
  assert.deepEqual(clientIdentifier('0xFF01'), ['id-ff01']);
  assert.deepEqual(clientIdentifier('web'), ['id-776562', 'id-00776562']);
  for (const raw of ['', 'x', 5, 'x'.repeat(255)]) assert.ok(clientIdentifier(raw) instanceof Mismatch, String(raw));
});

test('a MAC of a group or of nobody is refused', () => {
  for (const raw of ['01:00:5e:00:00:01', 'ff:ff:ff:ff:ff:ff', '00:00:00:00:00:00', '5a:94', 7]) {
    assert.ok(macAddress(raw) instanceof Mismatch, String(raw));
  }
  fc.assert(
    fc.property(fc.anything(), (raw) => {
      macAddress(raw);
      clientIdentifier(raw);
      optionHex(raw);
    }),
  );
});

test('a state folder is an absolute path', () => {
  assert.equal(parseConfig('state: /var/lib/slipway\n', 'slipway.yaml').state, '/var/lib/slipway');
  assert.match(problem('state: slipway\n').message, /^slipway\.yaml:1: state: expected an absolute path of a folder/);
  assert.equal(resolveConfig({}).state, '');
});

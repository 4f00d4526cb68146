import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { forwardId } from '../../src/config/forward.ts';
import { type PublishedPort, parsePortSpec } from '../../src/config/port-spec.ts';
import { Mismatch } from '../../src/config/values.ts';

function read(text: string): readonly PublishedPort[] {
  const ports = parsePortSpec(text);
  assert.ok(!(ports instanceof Mismatch), `${text}: expected ${(ports as Mismatch).expected}`);
  return ports;
}

/** 'id>guest port', as many as there are. */
const ends = (text: string): string[] =>
  read(text).map((one) => `${forwardId(one)}>${one.guest.kind === 'port' ? one.guest.port : '?'}`);

function expected(text: string): string {
  const refused = parsePortSpec(text);
  assert.ok(refused instanceof Mismatch, `${text} was accepted`);
  return refused.expected;
}

test('every form that docker run -p takes', () => {
  const cases: readonly (readonly [string, ...string[]])[] = [
    ['8080:80', 'tcp:*:8080>80'],
    ['8080:80/udp', 'udp:*:8080>80'],
    ['8080:80/UDP', 'udp:*:8080>80'],
    ['8080:80/', 'tcp:*:8080>80'],
    ['127.0.0.1:8080:80', 'tcp:127.0.0.1:8080>80'],
    ['0.0.0.0:53:53/udp', 'udp:0.0.0.0:53>53'],
    ['[::1]:8080:80', 'tcp:[::1]:8080>80'],
    ['[0:0::1]:8080:80', 'tcp:[::1]:8080>80'],
    ['::1:8080:80', 'tcp:[::1]:8080>80'],
    ['[::]:8080:80', 'tcp:[::]:8080>80'],
    [':8080:80', 'tcp:*:8080>80'],
    ['80', 'tcp:*:0>80'],
    [':80', 'tcp:*:0>80'],
    ['0:80', 'tcp:*:0>80'],
    ['127.0.0.1::80', 'tcp:127.0.0.1:0>80'],
    ['[::ffff:127.0.0.1]:1:2', 'tcp:127.0.0.1:1>2'],
    ['8000-8100:9000-9100', 'tcp:*:8000-8100>9000'],
    ['127.0.0.1:8000-8001:80-81/udp', 'udp:127.0.0.1:8000-8001>80'],
    ['1-65535:1-65535', 'tcp:*:1-65535>1'],
    ['80-82', 'tcp:*:0>80', 'tcp:*:0>81', 'tcp:*:0>82'],
    ['8080-8080:80', 'tcp:*:8080>80'],
  ];
  for (const [text, ...forwards] of cases) assert.deepEqual(ends(text), forwards, text);
});

test('a range of host ports for one guest port is a choice', () => {
  const [port, ...more] = read('127.0.0.1:8000-8010:80');
  assert.deepEqual(port?.host, { kind: 'port', address: '127.0.0.1', port: 8000, lastPort: 8010 });
  assert.equal(port?.count, 1);
  assert.equal(more.length, 0);
});

test('the guest is the only one, whichever address it has', () => {
  assert.deepEqual(read('8080:80')[0]?.guest, { kind: 'port', address: undefined, port: 80 });
});

test('what Docker refuses is refused, and says what was expected', () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['', /a port of the guest at the end: \[\[ADDRESS:\]/],
    ['8080:', /a port of the guest at the end/],
    ['/udp', /a port of the guest at the end/],
    ['8080:80/sctp', /tcp or udp after the slash/],
    ['8080:80/tcp/udp', /tcp or udp/],
    ['8080:0', /port of the guest from 1 to 65535.* in place of "0"/],
    ['8080:65536', /port of the guest.* in place of "65536"/],
    ['8080:http', /port of the guest.* in place of "http"/],
    ['8080:81-80', /port of the guest.* in place of "81-80"/],
    ['8080:+80', /port of the guest/],
    ['8080: 80', /port of the guest/],
    ['-1:80', /port of the host from 0 to 65535.* in place of "-1"/],
    ['0-5:80', /port of the host/],
    ['99999999999:80', /port of the host/],
    ['8000-8010:80-81', /two ranges of equal length \(the host's has 11 ports, the guest's 2 ports\)/],
    ['8000:80-81', /the host's has 1 port, the guest's 2 ports/],
    ['localhost:8080:80', /an address of this computer.* in place of "localhost"/],
    ['256.0.0.1:8080:80', /an address of this computer/],
    ['127.0.0.01:8080:80', /an address of this computer/],
    ['[127.0.0.1]:8080:80', /an address of this computer/],
    ['*:8080:80', /an address of this computer/],
    ['fe80::1%eth0:8080:80', /an address of this computer/],
    ['1-65535', /at most 1024 ports for the host to choose/],
  ];
  for (const [text, pattern] of cases) assert.match(expected(text), pattern, text);
});

test('any text is read or refused, and what is read has ports that exist', () => {
  const piece = fc.constantFrom(':', '/', '-', '[', ']', '80', '0', '65535', '127.0.0.1', '::', 'udp', 'x');
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 9 }), (pieces) => {
      const ports = parsePortSpec(pieces.join(''));
      if (ports instanceof Mismatch) return;
      for (const { host, guest, count } of ports) {
        assert.ok(host.kind === 'port' && guest.kind === 'port');
        assert.ok(guest.port >= 1 && guest.port + count - 1 <= 65_535);
        assert.ok(host.port + count - 1 <= 65_535 && (host.port > 0 || count === 1));
      }
    }),
  );
});

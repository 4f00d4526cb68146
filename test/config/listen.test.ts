import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ATTACHMENT_KINDS } from '../../src/attachment/kinds/kinds.ts';
import { type AttachmentUrl, guestArguments, LISTEN_FORMS, parseListenUrl } from '../../src/config/listen.ts';

function accepted(text: string): AttachmentUrl {
  const url = parseListenUrl(text);
  assert.ok(typeof url === 'object', `refused: expected ${String(url)}`);
  return url;
}

test('a unix socket to listen at and one to connect to', () => {
  assert.deepEqual(accepted('qemu+unix:///run/vm%201.sock'), {
    text: 'qemu+unix:///run/vm%201.sock',
    scheme: 'qemu+unix',
    connect: false,
    target: { kind: 'unix', path: '/run/vm 1.sock' },
  });
  assert.equal(accepted('qemu+unix:///run/a.sock?connect').connect, true);
});

test('a loopback port, and port 0 for any free one', () => {
  assert.deepEqual(accepted('qemu+tcp://127.0.0.1:4444').target, { kind: 'tcp', address: 0x7f000001, port: 4444 });
  assert.deepEqual(accepted('qemu+tcp://localhost:0').target, { kind: 'tcp', address: 0x7f000001, port: 0 });
  assert.deepEqual(accepted('qemu+tcp://127.3.2.1:1').target, { kind: 'tcp', address: 0x7f030201, port: 1 });
});

test('an address that other computers reach is refused, and why', () => {
  assert.match(
    String(parseListenUrl('qemu+tcp://0.0.0.0:4444')),
    /loopback address .* without a password.* join the network/,
  );
  assert.match(String(parseListenUrl('qemu+tcp://192.168.1.5:4444?connect')), /read every frame/);
});

test('a datagram socket, whose path leaves room for QEMU’s own', () => {
  assert.deepEqual(accepted('qemu+dgram:///run/vm.sock'), {
    text: 'qemu+dgram:///run/vm.sock',
    scheme: 'qemu+dgram',
    connect: false,
    target: { kind: 'unix', path: '/run/vm.sock' },
  });
  assert.deepEqual(accepted('vfkit+unixgram:///run/vm.sock').target, { kind: 'unix', path: '/run/vm.sock' });
});

test('every form that the help shows parses, dialled where it says so, and has words for its guest', () => {
  for (const { scheme, example, dials } of ATTACHMENT_KINDS) {
    assert.ok(LISTEN_FORMS.includes(example));
    const text = example.replace('port', '4444');
    assert.equal(accepted(text).scheme, scheme);
    assert.equal(typeof parseListenUrl(`${text}?connect`) === 'object', dials);
    assert.match(guestArguments(accepted(text)), /^-/);
  }
});

test('what does not parse says what was expected', () => {
  const cases: [string, RegExp][] = [
    ['', /qemu\+unix/],
    ['/run/a.sock', /qemu\+unix/],
    ['vfkit:///run/a.sock', /qemu\+unix/],
    ['qemu+unix://run/a.sock', /three slashes/],
    ['qemu+unix:///run/', /three slashes/],
    ['qemu+unix:///run/%zz', /percent/],
    [`qemu+unix:///${'a'.repeat(107)}`, /at most 107 bytes \(this one has 108\)/],
    ['qemu+unix:///run/a.sock?listen', /"connect"/],
    ['qemu+tcp://127.0.0.1', /a port/],
    ['qemu+tcp://127.0.0.1:70000', /a port/],
    ['qemu+tcp://example.org:1', /IPv4 loopback/],
    ['qemu+tcp://127.0.0.1:0?connect', /1 to 65535/],
    ['qemu+dgram:///run/a.sock?connect', /qemu\+dgram cannot dial/],
    [`qemu+dgram:///${'a'.repeat(102)}`, /at most 102 bytes \(this one has 103\)/],
    ['vfkit+unixgram:///run/a,b.sock', /without a comma/],
  ];
  for (const [text, expected] of cases) assert.match(String(parseListenUrl(text)), expected, text);
});

test('any text at all is an answer, never an exception', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.webUrl(),
        fc.string().map((s) => `qemu+unix:///${s}`),
        fc.string().map((s) => `qemu+tcp://${s}`),
      ),
      (text) => {
        parseListenUrl(text);
      },
    ),
  );
});

test('the arguments of a datagram socket can be pasted into a shell', () => {
  assert.equal(
    guestArguments(accepted('qemu+dgram:///run/x.sock')),
    '-netdev dgram,id=net0,local.type=unix,local.path=/run/x.sock.qemu,remote.type=unix,remote.path=/run/x.sock -device virtio-net-pci,netdev=net0',
  );
  assert.equal(
    guestArguments(accepted('vfkit+unixgram:///run/x.sock')),
    '--device virtio-net,unixSocketPath=/run/x.sock',
  );
});

test('the QEMU arguments can be pasted into a shell', () => {
  assert.equal(
    guestArguments(accepted('qemu+unix:///run/x.sock')),
    '-netdev stream,id=net0,addr.type=unix,addr.path=/run/x.sock -device virtio-net-pci,netdev=net0',
  );
  assert.equal(
    guestArguments(accepted('qemu+tcp://127.0.0.1:0'), 4567),
    '-netdev stream,id=net0,addr.type=inet,addr.host=127.0.0.1,addr.port=4567 -device virtio-net-pci,netdev=net0',
  );
  // What is dialled has no bound port, which the engines tell as 0.
  assert.match(guestArguments(accepted('qemu+tcp://127.0.0.1:4444?connect'), 0), /server=on,.*addr\.port=4444 /);
  assert.match(guestArguments(accepted('qemu+unix:///run/x.sock?connect')), /stream,id=net0,server=on,addr\.type=unix/);
  assert.match(
    guestArguments(accepted('qemu+unix:///tmp/a%20b,c.sock')),
    /'stream,id=net0,addr\.type=unix,addr\.path=\/tmp\/a b,,c\.sock'/,
  );
});

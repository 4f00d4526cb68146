import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { nsExec, type TestNamespace } from '../support/namespace.ts';
import { needs } from '../support/needs.ts';
import { canRunGuests, Slipway } from '../support/slipway.ts';
import { execute, listen, udp } from '../support/sockets.ts';
import { createRoutedNetwork, SERVER } from './routed-network.ts';

/** Counts what comes in with the type of service that stands in the name. */
const MARKS = [
  ['tcp_af21', 'tcp dport 443 ip dscp af21'],
  ['tcp_cs1', 'tcp dport 443 ip dscp cs1'],
  ['tcp_ect', 'tcp dport 443 ip ecn ect0'],
  ['udp_ef', 'meta l4proto udp ip dscp ef'],
  ['udp_ect', 'meta l4proto udp ip ecn ect0'],
  ['ping_cs4', 'meta l4proto icmp ip dscp cs4'],
] as const;

function count(namespace: TestNamespace): void {
  const counters = MARKS.map(([name]) => `counter ${name} {\n}`).join('\n');
  const rules = MARKS.map(([name, match]) => `${match} counter name ${name}`).join('\n');
  const chain = `chain seen {\ntype filter hook input priority 0\n${rules}\n}`;
  nsExec(namespace, 'nft', `table ip marks {\n${counters}\n${chain}\n}`);
}

function seen(namespace: TestNamespace, name: string): number {
  return Number(/packets (\d+)/.exec(nsExec(namespace, 'nft', 'list', 'counter', 'ip', 'marks', name))?.[1]);
}

async function python(t: TestContext, namespace: TestNamespace, program: string): Promise<void> {
  const { status, stderr } = await execute(t, namespace, 'python3', '-c', program);
  assert.equal(status, 0, stderr);
}

test('what a guest marks bears its marks outside, and what comes marked bears them in the guest', {
  timeout: 60_000,
}, async (t) => {
  if (!canRunGuests(t) || !needs(t, 'nft', 'sysctl', 'ping', 'python3')) return;
  const { home, outside } = createRoutedNetwork(t);
  const { guest } = await Slipway.start(t, { namespace: home });
  for (const namespace of [guest, outside]) count(namespace);

  await t.test('TCP: the DSCP of the connection, also when it changes, and no ECN', async (t) => {
    const { accept } = await listen(t, outside, { port: 443 });
    const ended = python(
      t,
      guest,
      `import socket; s=socket.socket(); s.setsockopt(0,1,0x4a); s.connect(('${SERVER}',443)); s.send(b'x'); s.recv(1)
s.setsockopt(0,1,0x20); s.send(b'y'); s.recv(1)`,
    );
    const server = await accept();
    server.on('data', () => server.write('z'));
    await ended;
    assert.ok(seen(outside, 'tcp_af21') >= 3, 'SYN, its ACK and a segment');
    assert.ok(seen(outside, 'tcp_cs1') >= 1);
    assert.equal(seen(outside, 'tcp_ect'), 0);
  });

  await t.test('UDP: DSCP and ECN of each datagram, both ways', async (t) => {
    const server = await udp(t, outside, SERVER);
    const program = (host: string, port: number): string => `import socket; s=socket.socket(2,2); s.settimeout(10)
for tos in (0xb8,0x02,0):
  s.setsockopt(0,1,tos); s.sendto(b'x',('${host}',${port})); s.recv(9)`;
    server.on('message', (bytes, from) => server.send(bytes, from.port, from.address));
    await python(t, guest, program(SERVER, server.address().port));
    assert.deepEqual([seen(outside, 'udp_ef'), seen(outside, 'udp_ect')], [1, 1]);
    const marked = `import socket; s=socket.socket(2,2); s.settimeout(10); s.bind(('${SERVER}',5353)); s.setsockopt(0,1,0xba)
print('ready', flush=True); b,a=s.recvfrom(9); s.sendto(b,a)`;
    const answering = python(t, outside, marked);
    const asking = `import socket,time; s=socket.socket(2,2); s.settimeout(0.2)
for i in range(50):
  s.sendto(b'x',('${SERVER}',5353))
  try: s.recv(9); break
  except OSError: time.sleep(0.1)
else: raise SystemExit('no answer')`;
    await python(t, guest, asking);
    await answering;
    assert.deepEqual([seen(guest, 'udp_ef'), seen(guest, 'udp_ect')], [1, 1]);
  });

  await t.test('ping', async (t) => {
    const { stdout } = await execute(t, guest, 'ping', '-n', '-c', '1', '-W', '5', '-Q', '0x80', SERVER);
    assert.match(stdout, /1 received/);
    assert.equal(seen(outside, 'ping_cs4'), 1);
    assert.equal(seen(guest, 'ping_cs4'), 1);
  });
});

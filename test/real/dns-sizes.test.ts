import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { StreamMessages, withLength } from '../../src/services/dns/upstream/stream-messages.ts';
import { DNS_TYPE_A, DNS_TYPE_TXT } from '../../src/wire/dns-message.ts';
import { nameserver } from '../guest/nameserver.ts';
import { canRunDnsHosts, DnsHost, type Dug, dig, guestOf, type Place } from '../support/dns-host.ts';
import { answerBytes, queryBytes, readMessage } from '../support/dns-messages.ts';
import { authZone, WORLD } from '../support/dns-zones.ts';
import { GATEWAY } from '../support/slipway.ts';
import { dialled } from '../support/sockets.ts';

const NAMESERVER = '127.0.0.2';
const LIMITS = { timeout: 60_000 };
const LONG_TEXT = 'own '.repeat(1_500);

async function world(t: TestContext): Promise<{ host: DnsHost; guest: Place }> {
  const host = await DnsHost.start(t, { resolvConf: `nameserver ${NAMESERVER}\n` });
  await host.unbound(NAMESERVER, authZone(host.folder, 'world.example', WORLD));
  const zones = [{ name: 'dev.example', records: [{ name: 'big', type: 'TXT', text: LONG_TEXT }] }];
  return { host, guest: guestOf(await host.slipway({ zones })) };
}

/** Octets of the message that dig got last. */
const octets = ({ text }: Dug): number => Number(/MSG SIZE {2}rcvd: (\d+)/.exec(text)?.[1]);
const overTcp = ({ text }: Dug): boolean => /SERVER: .*\(TCP\)/.test(text);
/** How long the text of the TXT records is. */
const characters = ({ answer }: Dug): number =>
  answer
    .join('')
    .replaceAll(/" "/g, '')
    .replace(/^[^"]*"(.*)"$/, '$1').length;

test('answers fit the size that the asker names, and come whole over TCP', LIMITS, async (t) => {
  if (!canRunDnsHosts(t, 'unbound', 'kdig')) return;
  const { host, guest } = await world(t);
  const sizes = [
    ['+noedns', 512],
    ['+bufsize=512', 512],
    ['+bufsize=1232', 1232],
    ['+bufsize=4096', 4096],
    ['+bufsize=0', 512],
  ] as const;

  await t.test('a datagram is no larger than the asker takes, and says TC when that is not all', async () => {
    for (const [flag, most] of sizes) {
      for (const [name, size] of [
        ['text.world.example', 100],
        ['big1300.world.example', 1_250],
        ['big3000.world.example', 3_000],
        ['big5000.world.example', 5_000],
        ['big40000.world.example', 40_000],
        ['big.dev.example', 6_000],
      ] as const) {
        const cut = await dig(guest, '+ignore', '+notcp', flag, name, 'TXT');
        const told = `${flag} ${name}: ${cut.text}`;
        assert.equal(cut.status, 'NOERROR', told);
        assert.ok(octets(cut) <= most, told);
        assert.equal(cut.flags.includes('tc'), size > most, told);
        assert.equal(cut.answer.length > 0, size <= most, told);
        assert.equal(/EDNS: version: 0/.test(cut.text), flag !== '+noedns', told);
      }
    }
  });

  await t.test('dig goes to TCP by itself and has every octet, whatever the size it named', async () => {
    for (const [flag] of sizes) {
      for (const name of ['big1300', 'big5000', 'big40000']) {
        const whole = await dig(guest, flag, `${name}.world.example`, 'TXT');
        assert.equal(characters(whole), characters(await dig(host, '+tcp', `${name}.world.example`, 'TXT')));
      }
      const own = await dig(guest, flag, 'big.dev.example', 'TXT');
      assert.ok(overTcp(own));
      assert.equal(characters(own), LONG_TEXT.length);
    }
    assert.ok(octets(await dig(guest, 'big40000.world.example', 'TXT')) > 40_000);
  });

  await t.test('kdig and dig ask several questions on one connection', async () => {
    const names = ['big5000', 'one', 'big40000', 'text'].map((name) => `${name}.world.example`);
    const types = ['TXT', 'A', 'TXT', 'TXT'];
    const questions = names.flatMap((name, i) => [name, types[i]!]);
    for (const program of ['kdig', 'dig']) {
      const said = await guest.succeed(program, `@${GATEWAY}`, '+tcp', '+keepopen', ...questions);
      assert.equal(said.match(/status: NOERROR/g)?.length, 4, said);
      assert.match(said, /192\.0\.2\.1\n/);
    }
  });

  await t.test('dnsperf pipelines a thousand questions over a few connections and loses none', async () => {
    const file = join(host.folder, 'questions');
    writeFileSync(
      file,
      Array.from({ length: 100 }, (_, i) => `n${i}.world.example A\none.world.example AAAA\n`).join(''),
    );
    const options = ['-s', GATEWAY, '-m', 'tcp', '-d', file, '-n', '5', '-c', '4', '-q', '200', '-t', '10'];
    const said = await guest.succeed('dnsperf', ...options);
    assert.match(said, /Queries completed: +1000 \(100\.00%\)/, said);
    assert.match(said, /NOERROR 500 \(50\.00%\), NXDOMAIN 500 \(50\.00%\)/, said);
  });
});

test('an answer on a pipelined connection does not wait for a slower one before it', LIMITS, async (t) => {
  if (!canRunDnsHosts(t)) return;
  const host = await DnsHost.start(t, { resolvConf: `nameserver ${NAMESERVER}\n` });
  const slow: (() => void)[] = [];
  await nameserver(
    t,
    ({ message, tell }) => {
      const { name } = readMessage(message).head;
      const data = { type: 'TXT', texts: [Buffer.from(name.toLowerCase())] } as const;
      const answer = (): void => tell(answerBytes(message, { answers: [{ owner: name, data }] }));
      if (name.startsWith('slow')) slow.push(answer);
      else answer();
    },
    { namespace: host.namespace, address: NAMESERVER, port: 53 },
  );
  const guest = guestOf(await host.slipway());
  const socket = await dialled(t, guest.namespace, 53, GATEWAY);
  const quick = Array.from({ length: 30 }, (_, i) => `quick${i}.example`);
  const names = ['slow.example', ...quick, 'gateway.docker.internal'];
  const types = [...new Array<number>(31).fill(DNS_TYPE_TXT), DNS_TYPE_A];
  const questions = names.map((name, id) => withLength(queryBytes(name, types[id]!, { id })));
  socket.write(Buffer.concat(questions));

  const answered: number[] = [];
  const messages = new StreamMessages();
  for await (const bytes of socket) {
    messages.push(bytes);
    for (let message = messages.next(); message !== undefined; message = messages.next()) {
      const { head, records } = readMessage(message);
      assert.equal(head.name, names[head.id]);
      const last = head.id === 31;
      assert.deepEqual(records, [`answer ${head.name} ${last ? `A ${GATEWAY}` : `TXT "${head.name}"`}`]);
      answered.push(head.id);
    }
    if (answered.length === names.length - 1) for (const answer of slow.splice(0)) answer();
    if (answered.length === names.length) break;
  }
  assert.equal(answered.at(-1), 0);
  assert.equal(new Set(answered).size, names.length);
});

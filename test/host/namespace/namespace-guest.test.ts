import assert from 'node:assert/strict';
import { closeSync, readdirSync, readFileSync, readlinkSync, readSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { VNET_HEADER_BYTES } from '../../../src/host/namespace/ioctl.ts';
import { watch } from '../../../src/host/namespace/libc.ts';
import { type NamespaceGuestOptions, startNamespaceGuest } from '../../../src/host/namespace/namespace-guest.ts';
import { needs } from '../../support/needs.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import {
  asOrdinaryUser,
  canRunGuests,
  childrenOf,
  type Finished,
  finished,
  NETWORK,
  networkOf,
  nextLine,
  processesIn,
  runGuestCommand,
  start,
  startGuest,
  until,
} from './guest.ts';

const TIMEOUT = { timeout: 30_000 };

async function run(
  t: TestContext,
  script: string,
  options: Partial<NamespaceGuestOptions> = {},
  input = '',
): Promise<Finished> {
  return finished(startGuest(t, ['sh', '-c', script], options), input);
}

test('the exit status of COMMAND passes through', TIMEOUT, async (t) => {
  if (!canRunGuests(t)) return;
  for (const code of [0, 1, 7]) assert.equal((await run(t, `exit ${code}`)).code, code);
});

test('a COMMAND that a signal kills is reported by that signal', TIMEOUT, async (t) => {
  if (!canRunGuests(t)) return;
  for (const signal of ['SIGTERM', 'SIGKILL', 'SIGSEGV'] as const) {
    assert.equal((await run(t, `kill -${signal.slice(3)} $$`)).signal, signal);
  }
});

test(
  'a COMMAND that does not exist is 127, one that is not executable 126, each in plain words',
  TIMEOUT,
  async (t) => {
    if (!canRunGuests(t)) return;
    const absent = await finished(startGuest(t, ['no-such-command-here']));
    assert.equal(absent.code, 127);
    assert.match(absent.error, /no-such-command-here: command not found/);
    const refused = await finished(startGuest(t, ['/etc/passwd']));
    assert.equal(refused.code, 126);
    assert.match(refused.error, /\/etc\/passwd is not an executable file/);
  },
);

test('what only the kernel can refuse is reported too, and a script without #! runs in a shell', TIMEOUT, async (t) => {
  if (!canRunGuests(t)) return;
  const folder = temporaryFolder('test');
  writeFileSync(join(folder, 'lost'), '#!/no/such/interpreter\n', { mode: 0o755 });
  writeFileSync(join(folder, 'plain'), 'echo "$0 $1"\n', { mode: 0o755 });
  const env = { PATH: `${folder}:${process.env.PATH}` };
  const lost = await finished(startGuest(t, ['lost'], { env }));
  assert.equal(lost.code, 127);
  assert.match(lost.error, /lost cannot be started: ENOENT/);
  const plain = await finished(startGuest(t, ['plain', 'word'], { env }));
  assert.equal(plain.out, `${folder}/plain word\n`);
});

test('the three standard streams, the environment and the folder are COMMAND’s own', TIMEOUT, async (t) => {
  if (!canRunGuests(t)) return;
  const env = { PATH: process.env.PATH, WORD: 'ünïcode' };
  const end = await run(
    t,
    'cat; echo "$WORD $PWD $(env | grep -c NODE)"; echo wrong >&2',
    { env, cwd: '/usr' },
    'line in\n',
  );
  assert.equal(end.out, 'line in\nünïcode /usr 0\n');
  assert.equal(end.error, 'wrong\n');
});

test('a megabyte passes both ways through pipes', TIMEOUT, async (t) => {
  if (!canRunGuests(t)) return;
  const text = 'abcdefgh'.repeat(131_072);
  assert.equal((await finished(startGuest(t, ['cat']), text)).out, text);
});

test('SIGTERM of the outer process reaches COMMAND, and COMMAND decides', TIMEOUT, async (t) => {
  if (!canRunGuests(t)) return;
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1'] as const) {
    const script = `trap "echo caught; exit 9" ${signal.slice(3)}; echo up; while :; do sleep 1000 & wait; done`;
    const guest = startGuest(t, ['sh', '-c', script], {}, { detached: true });
    assert.equal(await nextLine(guest), 'up');
    guest.kill(signal);
    const end = await finished(guest);
    assert.deepEqual([end.code, end.out], [9, 'caught\n']);
  }
});

test('COMMAND has default signal dispositions, an empty mask and no descriptor of ours', TIMEOUT, async (t) => {
  if (!canRunGuests(t)) return;
  const end = await finished(startGuest(t, ['grep', '-E', '^Sig(Blk|Ign)', '/proc/self/status']));
  const masks = Object.fromEntries(
    end.out
      .trim()
      .split('\n')
      .map((line) => line.split(':\t')),
  );
  assert.equal(BigInt(`0x${masks.SigBlk}`), 0n);
  // 32 and 33 are the C library's own, which posix_spawn leaves ignored.
  assert.equal(BigInt(`0x${masks.SigIgn}`) & 0x7fffffffn, 0n);
  const descriptors = await run(t, 'for fd in /proc/$$/fd/*; do readlink $fd; done');
  assert.doesNotMatch(descriptors.out, /tun|memfd|socket:.*\n.*socket:.*\n.*socket:.*\n.*socket:|eventpoll/);
});

test('inside there are only lo and the tap, with address, route and MTU', TIMEOUT, async (t) => {
  if (!canRunGuests(t)) return;
  const end = await run(
    t,
    'ls /sys/class/net; cat /sys/class/net/tap0/mtu /sys/class/net/tap0/address /sys/class/net/tap0/tx_queue_len; ' +
      'cat /proc/sys/net/ipv6/conf/tap0/disable_ipv6; cat /sys/class/net/lo/flags; tail -n +2 /proc/net/route; ' +
      'grep -c 192.168.65.3 /proc/net/fib_trie',
  );
  const lines = end.out.trim().split('\n');
  assert.deepEqual(lines.slice(0, 7), ['lo', 'tap0', '65520', NETWORK.mac, '10000', '1', '0x9']);
  const routes = lines.slice(7, 9).map((line) => line.split('\t').slice(0, 4).concat(line.split('\t')[7]!));
  assert.deepEqual(routes[0], ['tap0', '00000000', '0141A8C0', '0003', '00000000']);
  assert.deepEqual(routes[1], ['tap0', '0041A8C0', '00000000', '0001', '00FFFFFF']);
  assert.notEqual(lines[9], '0');
});

test('resolv.conf inside is ours, and the host’s is untouched', TIMEOUT, async (t) => {
  if (!canRunGuests(t)) return;
  const before = readFileSync('/etc/resolv.conf', 'utf8');
  const end = await run(t, 'cat /etc/resolv.conf; echo "# scribble" >> /etc/resolv.conf', {
    searchDomains: ['example.org', 'example.net'],
  });
  assert.match(end.out, /^nameserver 192\.168\.65\.1\nsearch example\.org example\.net$/m);
  assert.equal(readFileSync('/etc/resolv.conf', 'utf8'), before);
});

test('a /etc/resolv.conf that is a link, to a file or to nothing, is ours as well', TIMEOUT, async (t) => {
  if (!canRunGuests(t)) return;
  // A private mount namespace with its own /etc, so that the machine's is left alone.
  const prepare = (link: string): string[] => [
    'unshare',
    '--mount',
    'sh',
    '-c',
    `set -e; mount -t tmpfs tmpfs /mnt; mkdir /mnt/upper /mnt/work; echo host > /mnt/real;
     mount -t overlay overlay /etc -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work;
     rm -f /etc/resolv.conf; ${link}; "$@"; readlink /etc/resolv.conf || true; cat /mnt/real`,
    'sh',
    ...runGuestCommand(['grep', 'nameserver', '/etc/resolv.conf']),
  ];
  const ours = 'nameserver 192.168.65.1\n';
  const linked = await finished(start(t, prepare('ln -s /mnt/real /etc/resolv.conf')));
  assert.equal(linked.out, `${ours}/mnt/real\nhost\n`, linked.error);
  const dangling = await finished(start(t, prepare('ln -s /mnt/nothing /etc/resolv.conf')));
  assert.equal(dangling.out, `${ours}/mnt/nothing\nhost\n`, dangling.error);
});

test('COMMAND sees only the processes of its namespace, and daemons that it leaves die with it', TIMEOUT, async (t) => {
  if (!canRunGuests(t)) return;
  const guest = startGuest(t, [
    'sh',
    '-c',
    'readlink /proc/self/ns/net; setsid sh -c "sleep 1000 & exit" ; ls -d /proc/[0-9]* | wc -l; exit 4',
  ]);
  // The end of both streams is the end of the daemon, which holds them.
  const end = await finished(guest);
  assert.equal(end.code, 4);
  const [network, processes] = end.out.trim().split('\n');
  assert.ok(Number(processes) < 10, `${processes} processes`);
  assert.deepEqual(processesIn(network!), []);
});

test('after kill -9 of the outer process nothing is left', TIMEOUT, async (t) => {
  if (!canRunGuests(t)) return;
  const guest = startGuest(t, ['sh', '-c', 'readlink /proc/self/ns/net; setsid sleep 1000 & sleep 1000']);
  const network = await nextLine(guest);
  assert.ok(processesIn(network).length >= 3, 'unshare, init and the shell');
  guest.kill('SIGKILL');
  assert.equal((await finished(guest)).signal, 'SIGKILL');
  await until(() => processesIn(network).length === 0);
});

test(
  'after kill -9 of init, or of unshare, nothing is left and the outer process ends by SIGKILL',
  TIMEOUT,
  async (t) => {
    if (!canRunGuests(t)) return;
    for (const victim of ['init', 'unshare']) {
      const guest = startGuest(t, ['sh', '-c', 'readlink /proc/self/ns/net; setsid sleep 1000 & sleep 1000']);
      const network = await nextLine(guest);
      const unshare = childrenOf(guest.pid!).find((pid) => networkOf(pid) === network)!;
      const init = childrenOf(unshare)[0]!;
      process.kill(victim === 'init' ? init : unshare, 'SIGKILL');
      assert.equal((await finished(guest)).signal, 'SIGKILL');
      await until(() => processesIn(network).length === 0);
    }
  },
);

test('an ordinary user runs a guest in a user namespace, where /dev/net/tun is open to all', TIMEOUT, async (t) => {
  if (!canRunGuests(t) || !needs(t, 'setpriv')) return;
  const end = await finished(
    start(t, asOrdinaryUser('666', ['sh', '-c', 'id -u; cat /sys/class/net/tap0/mtu; exit 5'])),
  );
  assert.deepEqual([end.code, end.out], [5, '0\n65520\n'], end.error);
});

test('an ordinary user who may not open /dev/net/tun, or finds none, reads what to do', TIMEOUT, async (t) => {
  if (!canRunGuests(t) || !needs(t, 'setpriv')) return;
  const denied = await finished(start(t, asOrdinaryUser('600', ['true'])));
  assert.equal(denied.code, 1);
  assert.match(denied.error, /^ERR_TUN_DENIED: .*\/dev\/net\/tun.*sudo chmod 0666 \/dev\/net\/tun/);
  const missing = await finished(start(t, asOrdinaryUser('', ['true'])));
  assert.match(missing.error, /^ERR_TUN_MISSING: .*sudo modprobe tun/);
});

test('where user namespaces are switched off the error names the setting', TIMEOUT, async (t) => {
  if (!canRunGuests(t) || !needs(t, 'setpriv')) return;
  const zero = 'echo 0 > /dev/net/zero; mount --bind /dev/net/zero /proc/sys/user/max_user_namespaces;';
  const end = await finished(start(t, asOrdinaryUser('666', ['true'], zero)));
  assert.match(end.error, /^ERR_NAMESPACE_DENIED: .*sudo sysctl -w user.max_user_namespaces=15000/);
});

test(
  'the tap gives whole frames behind a virtio header, and the first is COMMAND’s question for the gateway',
  TIMEOUT,
  async (t) => {
    if (!canRunGuests(t)) return;
    const script = 'exec 3<>/dev/udp/192.168.65.1/9; echo hello >&3';
    const guest = await startNamespaceGuest({ ...NETWORK, command: ['bash', '-c', `${script}; sleep 1000`] });
    t.after(() => closeSync(guest.tapFd));
    assert.equal(guest.offloads.checksum, true);
    assert.equal(guest.offloads.tcpSegmentation, true);
    assert.equal(readlinkSync(`/proc/self/fd/${guest.tapFd}`), '/dev/net/tun');
    const frame = Buffer.alloc(2048);
    assert.throws(() => readSync(guest.tapFd, frame), { code: 'EAGAIN' }, 'the interface is quiet before COMMAND');
    guest.proceed();
    guest.proceed();
    await readable(guest.tapFd);
    const length = readSync(guest.tapFd, frame);
    const arp = frame.subarray(VNET_HEADER_BYTES, length);
    assert.equal(arp.toString('hex', 0, 6), 'ffffffffffff');
    assert.equal(arp.toString('hex', 6, 14), '5a94efe40cee0806');
    assert.equal(arp.toString('hex', 38, 42), 'c0a84101');
    guest.abort();
    assert.deepEqual(await guest.exited, { signal: 'SIGKILL' });
  },
);

test('a signal before COMMAND has started ends the guest as if by that signal', TIMEOUT, async (t) => {
  if (!canRunGuests(t)) return;
  const guest = await startNamespaceGuest({ ...NETWORK, command: ['true'] });
  closeSync(guest.tapFd);
  guest.kill('SIGTERM');
  assert.deepEqual(await guest.exited, { signal: 'SIGTERM' });
});

test('an interface that cannot be made is an error with the reason, not a hang', TIMEOUT, async (t) => {
  if (!canRunGuests(t)) return;
  await assert.rejects(startNamespaceGuest({ ...NETWORK, mtu: 70_000, command: ['true'] }), {
    code: 'ERR_NAMESPACE_SETUP',
    message: /setting the MTU of tap0 failed: EINVAL/,
  });
  const text = { ...NETWORK, address: '192.168.65', command: ['true'] };
  await assert.rejects(startNamespaceGuest(text), { code: 'ERR_ADDRESSES' });
});

test('ten guests come and go, and this process has the descriptors of before', TIMEOUT, async (t) => {
  if (!canRunGuests(t)) return;
  const descriptors = (): number => readdirSync('/proc/self/fd').length;
  const before = descriptors();
  for (let round = 0; round < 10; round += 1) {
    const guest = await startNamespaceGuest({ ...NETWORK, command: ['true'] });
    guest.proceed();
    assert.deepEqual(await guest.exited, { code: 0 });
    assert.ok(guest.sockets);
    for (const fd of [guest.tapFd, guest.sockets.table, guest.sockets.source]) closeSync(fd);
  }
  assert.equal(descriptors(), before);
});

function readable(fd: number): Promise<void> {
  return new Promise((resolve) => {
    const stop = watch(fd, () => {
      stop();
      resolve();
    });
  });
}

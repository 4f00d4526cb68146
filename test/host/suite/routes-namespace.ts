/**
 * A network namespace in which some addresses certainly do not answer: the test file runs itself again in there, with
 * only the cases that need them. Needs root; made by iproute2, gone with its last process, touches nothing of the
 * machine.
 */
import { strict as assert } from 'node:assert';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { needs, needsRoot } from '../../support/needs.ts';
import type { UnreachableAddresses } from './harness.ts';

const MARK = 'SLIPWAY_HOST_SUITE_NAMESPACE';

/** `$1` is node, `$2` the test file. Runs as process 1 of a PID namespace: what it started ends with it. */
const SETUP = `
set -eu
ip link set lo up
ip route add local 127.9.0.0/16 dev lo mtu 1500
# 10.96.0.0/24 has no route at all; a router in a namespace of its own swallows 10.99.0.0/24 and leads to 10.94.0.0/24.
ip route add unreachable 10.98.0.0/24
ip route add prohibit 10.97.0.0/24
router=$(unshare -n sh -c 'echo $$; exec sleep infinity >/dev/null 2>&1 </dev/null' &)
inside() { nsenter -t "$router" -n "$@"; }
ip link add near type veth peer name back netns "$router"
ip address add 10.95.0.1/24 dev near
ip link set near up
ip route add 10.94.0.0/24 via 10.95.0.2
ip route add 10.99.0.0/24 via 10.95.0.2
inside ip link set lo up
inside ip address add 10.95.0.2/24 dev back
inside ip link set back up
inside ip route add blackhole 10.99.0.0/24
# Without ARP the far end sends to nobody's hardware address: what is forwarded there is gone.
inside ip link add far type veth peer name nobody
inside ip link set far mtu 1280 arp off
inside ip address add 10.94.0.1/24 dev far
inside ip link set far up
inside ip link set nobody up
inside sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 0 >/proc/sys/net/ipv4/icmp_ratelimit'
"$1" --test-reporter=spec "$2"
`;

/** True in the second run. */
export function insideNamespace(): boolean {
  return process.env[MARK] === '1';
}

/** What SETUP made; undefined outside. */
export function namespaceAddresses(): UnreachableAddresses | undefined {
  if (!insideNamespace()) return undefined;
  return {
    blackHole: 0x0a630007,
    hostUnreachable: 0x0a620001,
    prohibited: 0x0a610001,
    networkUnreachable: 0x0a600001,
    behindRouter: 0x0a5e0007,
    router: 0x0a5f0002,
    routerMtu: 1280,
    narrow: 0x7f090001,
    narrowMtu: 1500,
  };
}

/** Runs `file` again inside, as one test that passes when all in there do. */
export function testInNamespace(name: string, file: string): void {
  test(`${name}: the cases that need unreachable addresses, in a namespace of their own`, async (t) => {
    if (!needsRoot(t) || !needs(t, 'unshare', 'nsenter', 'ip')) return;
    const { NODE_TEST_CONTEXT: _, ...environment } = process.env;
    const command = ['-n', '-m', '-p', '--fork', '--kill-child', '--mount-proc', 'sh', '-c', SETUP, 'sh'];
    const child = spawn('unshare', [...command, process.execPath, file], {
      env: { ...environment, [MARK]: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    t.after(() => child.kill('SIGKILL'));
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    const [code] = await once(child, 'close');
    assert.equal(code, 0, output);
    assert.match(output, /pass [1-9]/, output);
  });
}

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { needs, needsRoot } from '../../support/needs.ts';
import type { Findings } from './routed-probe.ts';

const ROUTER = 0x0a010002;
const BEHIND = 0x0a020002;

/**
 * Runs the probe in a network namespace of its own, 10.1.0.1, behind whose router, 10.1.0.2, lies a link of MTU 1280
 * that swallows everything; the routes to 10.9.0.0/24 and 10.8.0.0/24 say unreachable and prohibited.
 */
const SCRIPT = `
set -e
unshare --net sleep 60 & router=$!
trap 'kill $router' EXIT
while [ "$(readlink /proc/$router/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do :; done
inside() { nsenter --net=/proc/$router/ns/net "$@"; }
ip link set lo up
ip link add near type veth peer name far netns $router
ip addr add 10.1.0.1/24 dev near; ip link set near up
inside ip addr add 10.1.0.2/24 dev far; inside ip link set far up
inside ip link add out mtu 1280 type veth peer name hole; inside ip link set hole up; inside ip addr add 10.2.0.1/24 dev out; inside ip link set out up
inside ip neigh add 10.2.0.2 lladdr 02:00:00:00:00:02 dev out nud permanent
inside sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward; echo 0 > /proc/sys/net/ipv4/icmp_ratelimit'
ip route add 10.2.0.0/24 via 10.1.0.2
ip route add unreachable 10.9.0.0/24; ip route add prohibit 10.8.0.0/24
echo "$2" > /proc/sys/net/ipv4/ping_group_range
"$0" "$1"
`;

async function probe(pingGroups: string): Promise<Findings> {
  const path = fileURLToPath(new URL('./routed-probe.ts', import.meta.url));
  const args = ['--net', 'sh', '-c', SCRIPT, process.execPath, path, pingGroups];
  const { stdout } = await promisify(execFile)('unshare', args);
  return JSON.parse(stdout) as Findings;
}

describe('sockets behind a router', () => {
  for (const [way, pingGroups] of [
    ['a ping socket', '0 2147483647'],
    ['a raw socket', '1 0'],
  ] as const) {
    it(`hear its ICMP errors, with ${way} for echo`, async (t) => {
      if (!needsRoot(t) || !needs(t, 'unshare', 'nsenter', 'ip')) return;
      const findings = await probe(pingGroups);
      const timeExceeded = {
        address: BEHIND,
        code: 'EHOSTUNREACH',
        icmpType: 11,
        icmpCode: 0,
        offender: ROUTER,
        mtu: 0,
      };
      const tooBig = { address: BEHIND, code: 'EMSGSIZE', icmpType: 3, icmpCode: 4, offender: ROUTER, mtu: 1280 };
      const own = { icmpType: -1, icmpCode: -1, offender: 0 };
      assert.deepEqual(findings.udp, {
        'ttl 1': [{ ...timeExceeded, port: 33434, sequence: -1, length: -1 }],
        "don't fragment": [{ ...tooBig, port: 33434, sequence: -1, length: -1 }],
        // The kernel has learnt the path's MTU: now it refuses by itself.
        "don't fragment again": [{ ...tooBig, ...own, port: 33434, sequence: -1, length: 1400 }],
        fragments: [],
        unreachable: [
          { ...own, address: 0x0a090001, port: 33434, code: 'EHOSTUNREACH', mtu: 0, sequence: -1, length: 10 },
        ],
        prohibited: [{ ...own, address: 0x0a080001, port: 33434, code: 'EACCES', mtu: 0, sequence: -1, length: 10 }],
      });
      assert.deepEqual(findings.echo, {
        'ttl 1': [{ ...timeExceeded, port: 0, sequence: 77, length: -1 }],
        "don't fragment": [{ ...tooBig, ...own, port: 0, sequence: -1, length: 1400 }],
        reply: [],
        replies: 1,
      });
      assert.deepEqual(findings.tcp, { unreachable: 'EHOSTUNREACH', prohibited: 'EACCES', refused: 'ECONNREFUSED' });
    });
  }
});

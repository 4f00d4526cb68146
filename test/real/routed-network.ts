import { connectNamespaces, createNamespace, type Disposer, nsExec, type TestNamespace } from '../support/namespace.ts';

/** Of the server that is `outside`; both belong to it. */
export const SERVER = '10.2.0.2';
export const SECOND_SERVER = '10.2.0.3';
/** The router's address towards `home`, which its ICMP errors bear. */
export const ROUTER = '10.1.0.1';

/**
 * A small world that touches nothing of the computer's own network: `home`, where Slipway runs, a router, and a server
 * behind it.
 *
 *   home 10.1.0.2 ── 10.1.0.1 router 10.2.0.1 ── 10.2.0.2, 10.2.0.3 outside
 */
export interface RoutedNetwork {
  readonly home: TestNamespace;
  readonly router: TestNamespace;
  readonly outside: TestNamespace;
}

export function createRoutedNetwork(t: Disposer): RoutedNetwork {
  const home = createNamespace(t, 'home');
  const router = createNamespace(t, 'router');
  const outside = createNamespace(t, 'outside');
  connectNamespaces(
    { namespace: home, device: 'up0', address: '10.1.0.2/24' },
    { namespace: router, device: 'down0', address: `${ROUTER}/24` },
  );
  connectNamespaces(
    { namespace: router, device: 'out0', address: '10.2.0.1/24' },
    { namespace: outside, device: 'in0', address: `${SERVER}/24` },
  );
  nsExec(outside, 'ip', 'address', 'add', `${SECOND_SERVER}/24`, 'dev', 'in0');
  nsExec(home, 'ip', 'route', 'add', 'default', 'via', ROUTER);
  nsExec(outside, 'ip', 'route', 'add', 'default', 'via', '10.2.0.1');
  nsExec(router, 'sysctl', '-q', '-w', 'net.ipv4.ip_forward=1', 'net.ipv4.icmp_ratelimit=0');
  // The group range of a new namespace is empty; root has the raw socket, others would have none.
  nsExec(home, 'sysctl', '-q', '-w', 'net.ipv4.ping_group_range=0 2147483647');
  return { home, router, outside };
}

/** Gives the namespace an nft chain at a hook, with a counter named `seen` for the rules to use. */
export function firewall(namespace: TestNamespace, hook: 'forward' | 'output', ...rules: readonly string[]): void {
  const chain = `chain ${hook} {\ntype filter hook ${hook} priority 0\n${rules.join('\n')}\n}`;
  nsExec(namespace, 'nft', `table inet test {\ncounter seen {\n}\n${chain}\n}`);
}

export function endFirewall(namespace: TestNamespace): void {
  nsExec(namespace, 'nft', 'delete', 'table', 'inet', 'test');
}

/** Packets that met the counter. */
export function packetsSeen(namespace: TestNamespace): number {
  return Number(/packets (\d+)/.exec(nsExec(namespace, 'nft', 'list', 'counter', 'inet', 'test', 'seen'))?.[1]);
}

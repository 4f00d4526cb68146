import { execFileSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { declare } from '../../src/host/namespace/libc.ts';

/** What a namespace is removed by: `t` of node:test, or a list that a bench runs at its end. */
export interface Disposer {
  after(remove: () => void): void;
}

/** A named network namespace of this test, with `lo` up. */
export interface TestNamespace {
  readonly name: string;
  /** Its file, for setns(2) and `nsenter --net=`. */
  readonly path: string;
}

let made = 0;

/**
 * Makes an empty network namespace of a name that nobody else uses, removed after the test. Needs root, ip and nsenter.
 */
export function createNamespace(t: Disposer, label = 'ns'): TestNamespace {
  made += 1;
  const name = `slipway-${process.pid}-${made}-${label}`;
  execFileSync('ip', ['netns', 'add', name]);
  t.after(() => {
    execFileSync('ip', ['netns', 'delete', name]);
  });
  const namespace = { name, path: `/run/netns/${name}` };
  nsExec(namespace, 'ip', 'link', 'set', 'lo', 'up');
  return namespace;
}

/**
 * Runs a command to its end in the namespace and returns what it printed; throws with its error text when it fails.
 * `nsenter` rather than `ip netns exec`, which hides the cgroups.
 */
export function nsExec(namespace: TestNamespace, ...command: readonly string[]): string {
  return execFileSync('nsenter', [`--net=${namespace.path}`, '--', ...command], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** Joins two namespaces by a cable with the two addresses ('10.0.0.1/24'). */
export function connectNamespaces(
  left: { readonly namespace: TestNamespace; readonly device: string; readonly address: string },
  right: { readonly namespace: TestNamespace; readonly device: string; readonly address: string },
): void {
  const peer = ['peer', 'name', right.device, 'netns', right.namespace.name];
  nsExec(left.namespace, 'ip', 'link', 'add', left.device, 'type', 'veth', ...peer);
  for (const { namespace, device, address } of [left, right]) {
    nsExec(namespace, 'ip', 'address', 'add', address, 'dev', device);
    nsExec(namespace, 'ip', 'link', 'set', device, 'up');
  }
}

const setns: (fd: number, kind: number) => number = declare('int setns(int fd, int kind)');
const CLONE_NEWNET = 0x40000000;

/**
 * Runs `act`, which must be synchronous, with this thread inside the namespace: sockets and taps that it opens (and
 * processes that it starts) belong there for good.
 */
export function inNamespace<Result>(namespace: TestNamespace, act: () => Result): Result {
  const home = openSync('/proc/thread-self/ns/net', 'r');
  const there = openSync(namespace.path, 'r');
  try {
    if (setns(there, CLONE_NEWNET) !== 0) throw new Error(`this process may not enter ${namespace.path}`);
    return act();
  } finally {
    enterNamespace(home);
    closeSync(home);
    closeSync(there);
  }
}

/**
 * Moves this thread into the network namespace behind an open descriptor; a thread in the wrong one would do harm, so a
 * failure ends the process.
 */
export function enterNamespace(descriptor: number): void {
  if (setns(descriptor, CLONE_NEWNET) !== 0) process.abort();
}

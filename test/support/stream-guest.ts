import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createNamespace, nsExec, type TestNamespace } from './namespace.ts';
import { needs, needsRoot, needsTun } from './needs.ts';

const RELAY = fileURLToPath(new URL('./stream-relay.py', import.meta.url));
const GATEWAY = '192.168.65.1';
export const TAP = 'tap0';

export interface StreamGuestOptions {
  /** The unix socket where Slipway listens for QEMU. */
  readonly socket: string;
  readonly mac?: string;
  readonly mtu?: number;
  /** A static address in the /24; without one the card is up and has none. */
  readonly address?: string;
  /** Its frames bear a tag of VLAN 0. */
  readonly priorityTags?: boolean;
}

/** A namespace on Slipway's QEMU stream socket. */
export interface StreamGuest {
  readonly namespace: TestNamespace;
  readonly mac: string;
  /** Its machine stands still, as a paused VM does, and goes on. */
  pause(): void;
  resume(): void;
  /** Pulls the plug. */
  unplug(): Promise<void>;
}

/** False (and the test is left out) where no stream guest can run. */
export function canRunStreamGuests(t: TestContext): boolean {
  return needsRoot(t) && needsTun(t) && needs(t, 'ip', 'nsenter', 'python3');
}

let made = 0;

/** Makes a guest and plugs it in; both end with the test. */
export async function plugGuest(t: TestContext, options: StreamGuestOptions): Promise<StreamGuest> {
  made += 1;
  const { socket, mac = `52:54:00:00:01:${made.toString(16).padStart(2, '0')}`, mtu = 1_500, address } = options;
  const namespace = createNamespace(t, 'stream');
  // IPv6 speaks by itself; every frame here is one that the test asked for, or one ping where it has a static address.
  nsExec(namespace, 'sysctl', '-q', '-w', 'net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1');
  const argv = [`--net=${namespace.path}`, '--', 'python3', RELAY, socket, TAP, `${mtu}`, mac];
  if (options.priorityTags) argv.push('priority-tags');
  const relay = spawn('nsenter', argv, { stdio: ['ignore', 'pipe', 'pipe'] });
  const unplug = (): Promise<void> => end(relay);
  t.after(unplug);
  let said = '';
  relay.stderr.on('data', (text) => {
    said += String(text);
  });
  const ready = await Promise.race([once(relay.stdout, 'data'), once(relay, 'close').then(() => undefined)]);
  if (ready === undefined) throw new Error(`the relay ended: ${said}`);
  if (address !== undefined) {
    nsExec(namespace, 'ip', 'address', 'add', `${address}/24`, 'dev', TAP);
    nsExec(namespace, 'ip', 'route', 'add', 'default', 'via', GATEWAY);
    // As a machine that boots does. Nobody is asked who has not sent a frame, nor can know of an address that has not
    // said a word.
    nsExec(namespace, 'sh', '-c', `ping -n -c 1 -W 1 ${GATEWAY} >/dev/null; true`);
  }
  return { namespace, mac, pause: () => relay.kill('SIGSTOP'), resume: () => relay.kill('SIGCONT'), unplug };
}

async function end(relay: ChildProcess): Promise<void> {
  if (relay.exitCode !== null || relay.signalCode !== null) return;
  relay.kill('SIGKILL');
  await once(relay, 'close');
}

import { undoLater } from './cleanup.ts';
import { Program, runNow } from './process.ts';
import type { Workshop } from './programs.ts';

const TAP = 'tap0';
/** Frames: the relay reads in batches, and a short queue would drop what the guest's TCP bursts. */
const TAP_QUEUE_FRAMES = '20000';

export interface GuestNetwork {
  readonly mtu: number;
  /** The guest's address, in a /24. */
  readonly address: string;
  readonly gateway: string;
}

let made = 0;

/** A guest: a network namespace with one tap device, a static address and the real Linux TCP stack. */
export class Guest {
  readonly name: string;
  readonly tap: string = TAP;
  readonly #network: GuestNetwork;
  readonly #remove: () => void;

  constructor(network: GuestNetwork) {
    this.#network = network;
    this.name = `slipway-bench-${process.pid}-${made++}`;
    runNow('ip', 'netns', 'add', this.name);
    this.#remove = undoLater(() => {
      runNow('ip', 'netns', 'delete', this.name);
    });
    const ip = ['ip', '-n', this.name] as const;
    runNow(...ip, 'tuntap', 'add', TAP, 'mode', 'tap');
    runNow(...ip, 'link', 'set', 'lo', 'up');
    runNow(...ip, 'link', 'set', TAP, 'mtu', `${network.mtu}`, 'txqueuelen', TAP_QUEUE_FRAMES, 'up');
    runNow(...ip, 'address', 'add', `${network.address}/24`, 'dev', TAP);
    runNow(...ip, 'route', 'add', 'default', 'via', network.gateway);
    runNow(...this.prefix, 'sysctl', '-q', '-w', 'net.ipv4.tcp_congestion_control=cubic');
    // Short connections must not run into the guest's own ports in TIME-WAIT, which no backend can help.
    runNow(...this.prefix, 'sysctl', '-q', '-w', 'net.ipv4.ip_local_port_range=1024 65535');
    runNow(...this.prefix, 'sysctl', '-q', '-w', 'net.ipv4.tcp_max_tw_buckets=4096');
  }

  get path(): string {
    return `/run/netns/${this.name}`;
  }

  /** What to put before a command to run it in the guest. */
  get prefix(): readonly string[] {
    return ['nsenter', `--net=${this.path}`, '--'];
  }

  /** Asks for the gateway's MAC until it answers; resolves with the moment (CLOCK_MONOTONIC, ns) at which it did. */
  async firstAnswer(workshop: Workshop): Promise<bigint> {
    const probe = new Program([...this.prefix, workshop.load, 'arp', TAP, this.#network.gateway]);
    try {
      return BigInt((await probe.line(/^\d+$/))[0]);
    } finally {
      await probe.kill();
    }
  }

  remove(): void {
    this.#remove();
  }
}

/** Settings that every guest and the host share; put back at the end. */
export function pinCongestionControl(): void {
  const key = 'net.ipv4.tcp_congestion_control';
  const before = runNow('sysctl', '-n', key).trim();
  if (before === 'cubic') return;
  runNow('sysctl', '-q', '-w', `${key}=cubic`);
  undoLater(() => {
    runNow('sysctl', '-q', '-w', `${key}=${before}`);
  });
}

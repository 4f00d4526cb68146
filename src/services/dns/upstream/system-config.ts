import { type BigIntStats, closeSync, constants, openSync, readSync, statSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import type { Clock } from '../../../env/clock.ts';
import { addressesOf, type HostInterfaces, hasIpv6Route, reachesIpv6 } from './host-addresses.ts';
import type { Nameserver } from '../../../facts/nameserver.ts';
import { parseResolvConf, type ResolvConf } from './resolv-conf.ts';
import { systemTimers } from './timers.ts';
import { DNS_PORT } from '../../../wire/dns-message.ts';

/** How often the files are checked at most: three stat calls, some microseconds, however many questions come. */
const LOOK_MS = 20;
/**
 * How often the addresses are listed, which costs more. Where the kernel reports changes, this is only a safety net.
 */
const LIST_MS = 2000;
/**
 * A file that changed so recently may change again within the resolution of its time stamp and keep its size: it is
 * checked again later.
 */
const SETTLED_MS = 100;

/**
 * A resolv.conf that names no servers means the one of this computer, but one that was changed so lately may be in
 * the middle of being written. Less than the time after which a lookup looks again (lookup.ts).
 */
const WRITING_MS = 80;

/** Far more than any resolv.conf has. The rest of a longer one is ignored. */
const MAX_CONF_BYTES = 65_536;

/** What a file that is missing or unreadable says. */
const NO_CONF: ResolvConf = { nameservers: [], search: [] };
/**
 * resolv.conf(5): "If no nameserver entries are present, the default is to use the name server on the local machine".
 */
const LOCAL_NAMESERVERS: readonly Nameserver[] = [{ address: '127.0.0.1', port: DNS_PORT }];

interface SystemConfigOptions {
  readonly resolvConf?: string;
  readonly hosts?: string;
  readonly nsswitch?: string;
  readonly clock?: Clock;
  /** Milliseconds since 1970, as file times are; Date.now unless told. */
  readonly wallMs?: () => number;
  /** os.networkInterfaces unless told. */
  readonly interfaces?: () => HostInterfaces;
  /** Whether packets to the IPv6 world have a way; the kernel's table unless told. */
  readonly ipv6Route?: () => boolean;
}

/**
 * The host's own configuration of names: resolv.conf, the hosts file, nsswitch.conf and the computer's addresses.
 *
 * Nothing is watched, because watches miss what happens most: a file that is replaced by rename, a symbolic link that
 * is turned, a bind mount. The files are checked when a question comes, at most every 20 ms.
 */
export class SystemConfigWatch {
  readonly #options: SystemConfigOptions;
  readonly #clock: Clock;
  #generation = 0;
  #lookedMs = Number.NEGATIVE_INFINITY;
  #listedMs = Number.NEGATIVE_INFINITY;
  /** What the files' last look gave; '' before the first. */
  #seen = '';
  #seenResolvConf = '';
  #conf: ResolvConf = NO_CONF;
  #confChangedMs = 0;
  #addresses = '';
  #ipv6 = false;

  constructor(options: SystemConfigOptions = {}) {
    this.#options = options;
    this.#clock = options.clock ?? systemTimers;
    this.#look();
    this.#list();
    this.#generation = 0;
  }

  /** Rises with each change of the files or of the computer's addresses. */
  get generation(): number {
    this.#refresh();
    return this.#generation;
  }

  /**
   * The nameservers of resolv.conf now, at most three; none when there is no such file, or when it may be half written.
   */
  nameservers(): readonly Nameserver[] {
    this.#refresh();
    const conf = this.#conf;
    if (conf.nameservers.length > 0 || conf === NO_CONF) return conf.nameservers;
    return Math.abs(this.#wallMs() - this.#confChangedMs) < WRITING_MS ? [] : LOCAL_NAMESERVERS;
  }

  /** The search list of resolv.conf now. */
  search(): readonly string[] {
    this.#refresh();
    return this.#conf.search;
  }

  /**
   * Whether the host itself can speak IPv6 beyond its link: a global address, or a unique local one with a default
   * route.
   */
  hasIpv6(): boolean {
    this.#refresh();
    return this.#ipv6;
  }

  /** An address or a route changed, as the network thread's netlink socket reports. */
  addressesChanged(): void {
    this.#generation++;
    this.#listedMs = Number.NEGATIVE_INFINITY;
  }

  #refresh(): void {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#lookedMs >= LOOK_MS) this.#look();
    if (nowMs - this.#listedMs >= LIST_MS) this.#list();
  }

  #look(): void {
    this.#lookedMs = this.#clock.nowMs();
    const resolvConf = this.#options.resolvConf ?? '/etc/resolv.conf';
    const state = this.#state(resolvConf);
    const others = [this.#options.hosts ?? '/etc/hosts', this.#options.nsswitch ?? '/etc/nsswitch.conf'];
    const seen = [state, ...others.map((file) => this.#state(file))].join(' ');
    if (seen === this.#seen) return;
    this.#seen = seen;
    this.#generation++;
    if (state === this.#seenResolvConf) return;
    this.#seenResolvConf = state;
    this.#confChangedMs = Number(look(resolvConf)?.mtimeMs ?? 0);
    this.#conf = read(resolvConf);
  }

  #wallMs(): number {
    return (this.#options.wallMs ?? Date.now)();
  }

  /** What a change of the file changes, through symbolic links. */
  #state(file: string): string {
    const stat = look(file);
    if (stat === undefined) return 'none';
    const ageMs = this.#wallMs() - Number(stat.mtimeMs);
    const settled = Math.abs(ageMs) >= SETTLED_MS;
    return `${stat.dev}/${stat.ino}/${stat.size}/${stat.mtimeNs}/${stat.ctimeNs}${settled ? '' : '/young'}`;
  }

  #list(): void {
    this.#listedMs = this.#clock.nowMs();
    const interfaces = listed(this.#options.interfaces ?? networkInterfaces);
    const addresses = addressesOf(interfaces);
    if (addresses !== this.#addresses) this.#generation++;
    this.#addresses = addresses;
    this.#ipv6 = reachesIpv6(interfaces, this.#options.ipv6Route ?? hasIpv6Route);
  }
}

/** Undefined for a file that is not there, or not for us to see. */
function look(file: string): BigIntStats | undefined {
  try {
    return statSync(file, { bigint: true, throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

/** A computer that does not tell its addresses (a sandbox) has none. */
function listed(interfaces: () => HostInterfaces): HostInterfaces {
  try {
    return interfaces();
  } catch {
    return {};
  }
}

/** A file that vanishes between look and read names no servers; the next look sees that. */
function read(file: string): ResolvConf {
  try {
    return parseResolvConf(beginning(file));
  } catch {
    return NO_CONF;
  }
}

/** All whole lines of the first MAX_CONF_BYTES. Whoever opens a pipe does not wait for its writer. */
function beginning(file: string): string {
  const descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const bytes = Buffer.alloc(MAX_CONF_BYTES);
    const length = readSync(descriptor, bytes);
    const text = bytes.toString('utf8', 0, length);
    return length < MAX_CONF_BYTES ? text : text.slice(0, text.lastIndexOf('\n') + 1);
  } finally {
    closeSync(descriptor);
  }
}

import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { TestNamespace } from './namespace.ts';
import { needs } from './needs.ts';
import { TAP } from './stream-guest.ts';
import { temporaryFolder } from './temporary-folder.ts';

const SCRIPT = fileURLToPath(new URL('./dhcp-event.sh', import.meta.url));

const GATEWAY = '192.168.65.1';

export const CLIENTS = ['udhcpc', 'dhclient', 'dhcpcd'] as const;
export type ClientName = (typeof CLIENTS)[number];

/** What a client told its script: the names are the client's own. */
export interface DhcpEvent {
  readonly event: string;
  readonly [variable: string]: string;
}

export interface DhcpClientOptions {
  /** Option 12. */
  readonly hostName?: string;
  /** Option 61, as text; the client's own default without. */
  readonly clientId?: string;
  /** Where the client keeps its lease; a client that starts again there asks for the same address (INIT-REBOOT). */
  readonly memory?: string;
  /** Asks only for what it asks for by itself (udhcpc only). */
  readonly modest?: boolean;
  /** Asks by ARP whether an address that it got is in use, and declines it then (udhcpc only). */
  readonly checks?: boolean;
  /** The address with its prefix that it has by hand, so that it asks for the rest alone (dhcpcd only). */
  readonly informs?: string;
}

/** The same fact by each client's name for it. */
export const FACTS: Readonly<Record<ClientName, Readonly<Record<string, string>>>> = {
  udhcpc: {
    address: 'ip',
    router: 'router',
    dns: 'dns',
    search: 'search',
    ntp: 'ntpsrv',
    mtu: 'mtu',
    routes: 'staticroutes',
    domain: 'domain',
    name: 'hostname',
    lease: 'lease',
    boot: 'tftp',
  },
  dhclient: {
    address: 'new_ip_address',
    router: 'new_routers',
    dns: 'new_domain_name_servers',
    search: 'new_domain_search',
    ntp: 'new_ntp_servers',
    mtu: 'new_interface_mtu',
    routes: 'new_classless_routes',
    domain: 'new_domain_name',
    name: 'new_host_name',
    lease: 'new_dhcp_lease_time',
    boot: 'new_tftp_server_name',
  },
  dhcpcd: {
    address: 'new_ip_address',
    router: 'new_routers',
    dns: 'new_domain_name_servers',
    search: 'new_domain_search',
    ntp: 'new_ntp_servers',
    mtu: 'new_interface_mtu',
    routes: 'new_classless_static_routes',
    domain: 'new_domain_name',
    name: 'new_host_name',
    lease: 'new_dhcp_lease_time',
    boot: 'new_tftp_server_name',
  },
};

/** What a client says when it has a lease for the first time, again after a renewal, and again after its own start. */
export const BOUND: ReadonlySet<string> = new Set(['bound', 'BOUND', 'REBOOT']);
export const RENEWED: ReadonlySet<string> = new Set(['renew', 'RENEW', 'REBIND']);

export function canRunClient(t: TestContext, client: ClientName): boolean {
  return needs(t, client, 'unshare');
}

/**
 * dhcpcd loses a signal that comes while its script runs. The caller clears the interval when the process has ended.
 */
function signalOften(client: ChildProcess, signal: NodeJS.Signals): NodeJS.Timeout {
  client.kill(signal);
  return setInterval(() => client.kill(signal), 250);
}

/** A real DHCP client on a guest's card, with mounts of its own: it changes no file of this computer. */
export class DhcpClient {
  readonly name: ClientName;
  readonly #namespace: TestNamespace;
  readonly #folder: string;
  readonly #memory: string;
  #process: ChildProcess | undefined;
  #said = '';
  #heard = 0;

  /** Starts it; it is killed after the test. */
  constructor(t: TestContext, name: ClientName, namespace: TestNamespace, options: DhcpClientOptions = {}) {
    this.name = name;
    this.#namespace = namespace;
    this.#folder = temporaryFolder('dhcp');
    this.#memory = options.memory ?? this.#folder;
    writeFileSync(this.#events, '');
    this.#run(START[name](this.#folder, this.#memory, options));
    t.after(() => this.kill());
  }

  /** The next event, from where the last call ended, of which `wanted` holds. */
  async hear(wanted: ReadonlySet<string>): Promise<DhcpEvent> {
    for (;;) {
      const text = readFileSync(this.#events);
      const events = parseEvents(String(text));
      for (; this.#heard < events.length; this.#heard++) {
        const event = events[this.#heard]!;
        if (!wanted.has(event.event)) continue;
        this.#heard++;
        return event;
      }
      if (this.#process === undefined || this.#process.exitCode !== null || this.#process.signalCode !== null)
        throw new Error(`${this.name} ended: ${this.#said}`);
      await this.#grows(text.length);
    }
  }

  /** A fact of an event, whatever this client calls it. */
  fact(event: DhcpEvent, name: string): string | undefined {
    return event[FACTS[this.name][name] ?? name];
  }

  /** Makes it ask for more time now (dhclient does so by itself, every second). */
  renew(): void {
    if (this.name === 'udhcpc') this.#process?.kill('SIGUSR1');
    if (this.name === 'dhcpcd' && this.#process !== undefined) {
      // It takes orders at a socket in its own /run.
      const own = [`--net=${this.#namespace.path}`, `--mount=/proc/${this.#process.pid}/ns/mnt`];
      execFileSync('nsenter', [...own, '--', 'dhcpcd', '-N', TAP], { stdio: 'ignore' });
    }
  }

  /** Makes it give the address back, and waits for its end. */
  async release(): Promise<void> {
    const client = this.#process;
    if (client === undefined) return;
    const ended = once(client, 'close');
    let again: NodeJS.Timeout | undefined;
    if (this.name === 'dhclient') {
      // Another dhclient ends this one and releases in its place.
      const files = ['-lf', join(this.#memory, 'leases'), '-pf', join(this.#folder, 'pid')];
      const release = this.#spawn([
        'dhclient',
        '-4',
        '-r',
        '-d',
        '-sf',
        SCRIPT,
        ...files,
        ...CONFIGURED(this.#folder),
        TAP,
      ]);
      await once(release, 'close');
    } else if (this.name === 'udhcpc') {
      // It takes its address away right after the release, which must not wait for the answer to an ARP request then.
      const ping = ['ping', '-n', '-c', '1', '-W', '5', GATEWAY];
      spawnSync('nsenter', [`--net=${this.#namespace.path}`, '--', ...ping], { stdio: 'ignore' });
      client.kill('SIGTERM');
    } else again = signalOften(client, 'SIGALRM');
    await ended;
    clearInterval(again);
    this.#process = undefined;
  }

  /** Ends it without a word to the server. */
  async kill(): Promise<void> {
    const client = this.#process;
    this.#process = undefined;
    if (client === undefined || client.exitCode !== null || client.signalCode !== null) return;
    // Not its streams' end: a helper of dhcpcd may hold them a little longer.
    const ended = once(client, 'exit');
    if (this.name !== 'dhcpcd') client.kill('SIGKILL');
    // It has helpers that only it ends; it keeps its lease then.
    const again = this.name === 'dhcpcd' ? signalOften(client, 'SIGTERM') : undefined;
    await ended;
    clearInterval(again);
  }

  get #events(): string {
    return join(this.#folder, 'events');
  }

  #run(command: readonly string[]): void {
    this.#process = this.#spawn(command);
  }

  #spawn(command: readonly string[]): ChildProcess {
    // Private mounts: what a client writes below /run, /var/lib and /etc is its own.
    const own = 'mount -t tmpfs own /run; ! [ -d /var/lib/dhcpcd ] || mount --bind "$0" /var/lib/dhcpcd; exec "$@"';
    const argv = [`--net=${this.#namespace.path}`, '--', 'unshare', '-m', 'sh', '-c', own, this.#memory, ...command];
    const child = spawn('nsenter', argv, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: `/usr/sbin:/sbin:${process.env.PATH}`, EVENTS: this.#events },
    });
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.on('data', (bytes) => {
        this.#said += String(bytes);
      });
    }
    return child;
  }

  /** Waits until there is more than was read, or the client has ended. */
  async #grows(size: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const watcher = watch(this.#events, () => done());
      const done = (): void => {
        watcher.close();
        this.#process?.off('close', done);
        resolve();
      };
      this.#process?.once('close', done);
      // Between the reading and the watching it may have grown.
      if (statSync(this.#events).size !== size) done();
    });
  }
}

function parseEvents(text: string): DhcpEvent[] {
  return text
    .split('\nend=\n')
    .slice(0, -1)
    .map((block) => {
      const pairs = block
        .split('\n')
        .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]);
      return Object.fromEntries(pairs) as DhcpEvent;
    });
}

const CONFIGURED = (folder: string): string[] => ['-cf', join(folder, 'dhclient.conf')];

type Start = (folder: string, memory: string, options: DhcpClientOptions) => string[];

const START: Readonly<Record<ClientName, Start>> = {
  udhcpc: (_folder, memory, { hostName, clientId, checks, modest }) => {
    const more = modest === true ? [] : ['search', 'ntpsrv', 'mtu', 'staticroutes', 'hostname', 'domain', 'tftp'];
    const wanted = more.flatMap((name) => ['-O', name]);
    // It remembers nothing by itself: who starts it again says which address it had.
    const had = join(memory, 'udhcpc-address');
    return [
      ...['udhcpc', '-f', '-i', TAP, '-s', SCRIPT, '-R', '-t', '5', '-T', '1', ...wanted],
      ...(checks === true ? ['-a500', '-A1'] : []),
      ...(existsSync(had) ? ['-r', readFileSync(had, 'utf8')] : []),
      ...(hostName === undefined ? [] : ['-x', `hostname:${hostName}`]),
      ...(clientId === undefined ? [] : ['-x', `0x3d:${Buffer.from(clientId).toString('hex')}`]),
    ];
  },
  dhclient: (folder, memory, { hostName, clientId }) => {
    const wanted = 'subnet-mask, routers, domain-name-servers, domain-name, domain-search, ntp-servers, interface-mtu';
    const lines = [
      'option classless-routes code 121 = array of unsigned integer 8;',
      `request ${wanted}, host-name, classless-routes, tftp-server-name;`,
      'supersede dhcp-renewal-time 1;',
      ...(hostName === undefined ? [] : [`send host-name "${hostName}";`]),
      ...(clientId === undefined ? [] : [`send dhcp-client-identifier "${clientId}";`]),
    ];
    writeFileSync(join(folder, 'dhclient.conf'), lines.join('\n'));
    const files = ['-lf', join(memory, 'leases'), '-pf', join(folder, 'pid')];
    return [
      'dhclient',
      '-4',
      '-d',
      '-sf',
      SCRIPT,
      ...files,
      ...CONFIGURED(folder),
      '-e',
      `EVENTS=${join(folder, 'events')}`,
      TAP,
    ];
  },
  dhcpcd: (folder, _memory, { hostName, clientId, informs }) => {
    const wanted =
      'domain_name_servers,domain_name,domain_search,ntp_servers,interface_mtu,host_name,classless_static_routes,routers';
    const lines = [
      'ipv4only',
      'noarp',
      `option ${wanted},tftp_server_name`,
      `script ${SCRIPT}`,
      `env EVENTS=${join(folder, 'events')}`,
      ...(hostName === undefined ? [] : [`hostname ${hostName}`]),
      clientId === undefined ? 'clientid' : `clientid ${clientId}`,
    ];
    writeFileSync(join(folder, 'dhcpcd.conf'), `${lines.join('\n')}\n`);
    const how = informs === undefined ? [] : ['-s', informs];
    return ['dhcpcd', '-B', ...how, '-f', join(folder, 'dhcpcd.conf'), TAP];
  },
};

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { needs, type Skippable } from './needs.ts';

/*
 * A real Linux VM: Debian's cloud kernel and a busybox initramfs under QEMU's software emulation, with one virtio-net
 * card on a QEMU stream socket. Commands go in by the serial console, a line each, and come back with their status:
 * no agent, no disk, and no network but the one that is tested.
 */

/** In the order in which they can be loaded; the cloud kernel has all of them as modules. */
const MODULES = [
  'drivers/virtio/virtio_ring',
  'drivers/virtio/virtio',
  'drivers/virtio/virtio_pci_modern_dev',
  'drivers/virtio/virtio_pci_legacy_dev',
  'drivers/virtio/virtio_pci',
  'net/core/failover',
  'drivers/net/net_failover',
  'drivers/net/virtio_net',
] as const;
const KERNEL_PACKAGE = 'linux-image-cloud-amd64';
/** Software emulation on a busy computer; a boot takes 6 s on an idle one. */
const BOOT_LIMIT_MS = 120_000;
const COMMAND_LIMIT_MS = 120_000;
const READY = '__READY__';

const INIT = `#!/bin/busybox sh
export PATH=/bin HOME=/
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
stty -echo -onlcr
dmesg -n 1
for module in ${MODULES.map((module) => basename(module)).join(' ')}; do
  insmod /modules/$module.ko || echo "insmod $module failed"
done
ip link set lo up
ip link set eth0 up
echo ${READY}
while IFS= read -r line; do
  sh -c "$line" </dev/null 2>&1
  echo "__RC:$?__"
done
poweroff -f
`;

/** What udhcpc calls with the lease in its environment. */
const LEASE_SCRIPT = `#!/bin/sh
case "$1" in
  deconfig)
    ip address flush dev $interface
    ip link set $interface up
    ;;
  bound|renew)
    ip address flush dev $interface
    [ -n "$mtu" ] && ip link set $interface mtu $mtu
    ip address add $ip/$mask dev $interface
    for gateway in $router; do ip route add default via $gateway dev $interface; done
    : > /etc/resolv.conf
    [ -n "$domain" ] && echo "search $domain" >> /etc/resolv.conf
    for server in $dns; do echo "nameserver $server" >> /etc/resolv.conf; done
    echo "lease $ip/$mask router $router dns $dns mtu $mtu"
    ;;
esac
`;

/** Where the guest's network card is plugged in. */
export type QemuPlug =
  /** QEMU dials the listening unix socket. */
  | { readonly dial: string }
  /** QEMU listens there, and takes the next caller when one leaves. */
  | { readonly listen: string }
  /** QEMU's datagrams go to the unix socket there, and its own is beside it. */
  | { readonly datagrams: string };

export interface QemuGuestOptions {
  readonly plug: QemuPlug;
  /** Two guests of one network need two. */
  readonly mac?: string;
  /** Static programs of this computer that the guest shall have in /bin, too. */
  readonly programs?: readonly string[];
}

export interface CommandResult {
  readonly status: number;
  /** Standard output and error, as they came. */
  readonly output: string;
}

export interface Lease {
  /** `192.168.65.3/24` */
  readonly address: string;
  readonly router: string;
  readonly dns: string;
  /** Empty when the server sent none. */
  readonly mtu: string;
}

/** Skips the test where no VM can be built; fetches nothing yet. */
export function needsQemu(t: Skippable): boolean {
  const programs = ['qemu-system-x86_64', 'busybox', 'gzip'];
  return needs(t, ...programs, ...(installedKernel() === undefined ? ['apt-get', 'dpkg-deb'] : []));
}

/** A running VM. `stop` it in the test's `after`. */
export class QemuGuest {
  readonly #qemu: ChildProcess;
  readonly #folder: string;
  readonly #exited: Promise<void>;
  #console = '';
  #errors = '';
  #ended = false;
  #wake: () => void = () => {};
  #busy = false;

  private constructor(qemu: ChildProcess, folder: string) {
    this.#qemu = qemu;
    this.#folder = folder;
    this.#exited = new Promise((resolve) => {
      qemu.on('close', resolve);
      qemu.on('error', (error) => {
        this.#errors += error.message;
        resolve();
      });
    });
    void this.#exited.then(() => {
      this.#ended = true;
      this.#wake();
    });
    qemu.stdout!.setEncoding('latin1').on('data', (text: string) => {
      this.#console += text;
      this.#wake();
    });
    qemu.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#errors += text;
    });
    qemu.stdin!.on('error', () => {});
  }

  /** Builds the initramfs, boots, and resolves when the guest takes commands. Its card is up and has no address. */
  static async start(options: QemuGuestOptions): Promise<QemuGuest> {
    const kernel = installedKernel() ?? fetchedKernel();
    const folder = mkdtempSync(join(tmpdir(), 'slipway-qemu-'));
    try {
      const initrd = buildInitramfs(folder, kernel.modules, options.programs ?? []);
      const argv = qemuArguments(kernel.image, initrd, options);
      const guest = new QemuGuest(spawn('qemu-system-x86_64', argv, { stdio: ['pipe', 'pipe', 'pipe'] }), folder);
      try {
        const boot = await guest.#until(READY, BOOT_LIMIT_MS);
        if (boot.includes('insmod')) throw new Error(`QEMU guest: ${boot.trim()}`);
        return guest;
      } catch (error) {
        await guest.stop();
        throw error;
      }
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /**
   * Runs one line in the guest's busybox shell; one at a time. After a command that outlived its limit none runs any
   * more.
   */
  async run(command: string, limitMs: number = COMMAND_LIMIT_MS): Promise<CommandResult> {
    if (command.includes('\n')) throw new Error('QemuGuest.run: a command is one line');
    if (this.#busy) throw new Error('QemuGuest.run: the last command still runs');
    this.#busy = true;
    this.#qemu.stdin!.write(`${command}\n`);
    const output = await this.#until('__RC:', limitMs);
    const status = await this.#until('__', limitMs);
    await this.#until('\n', limitMs);
    this.#busy = false;
    return { status: Number(status), output };
  }

  /** Like `run`, and throws with the output unless the status is 0. */
  async succeed(command: string, limitMs: number = COMMAND_LIMIT_MS): Promise<string> {
    const { status, output } = await this.run(command, limitMs);
    if (status !== 0) throw new Error(`in the guest: ${command}: status ${status}: ${output.trim()}`);
    return output;
  }

  /** Gets a lease with udhcpc and configures the card by it. */
  async lease(): Promise<Lease> {
    const said = await this.succeed('udhcpc -i eth0 -n -q -f -t 20 -T 1 -O mtu -s /lease-script');
    const [, address, router, dns, mtu] = said.match(/^lease (\S+) router (.*) dns (.*) mtu (.*)$/m) ?? [];
    if (address === undefined) throw new Error(`udhcpc: ${said}`);
    return { address, router: router!, dns: dns!, mtu: mtu!.trim() };
  }

  /**
   * Resets the machine as its own button would, the card still plugged in, and resolves when it takes commands again.
   */
  async reset(): Promise<void> {
    this.#qemu.stdin!.write('reboot -f\n');
    await this.#until(READY, BOOT_LIMIT_MS);
  }

  /** Ends the VM at once and removes its files. */
  async stop(): Promise<void> {
    if (!this.#ended) this.#qemu.kill('SIGKILL');
    await this.#exited;
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Takes the console's text up to `mark`, mark included, and returns it without. */
  async #until(mark: string, limitMs: number): Promise<string> {
    const deadline = performance.now() + limitMs;
    for (;;) {
      const at = this.#console.indexOf(mark);
      if (at >= 0) {
        const text = this.#console.slice(0, at);
        this.#console = this.#console.slice(at + mark.length);
        return text;
      }
      const left = deadline - performance.now();
      if (this.#ended) throw new Error(`QEMU ended: ${this.#errors.trim()}: ${this.#console}`);
      if (left <= 0) throw new Error(`QEMU guest: nothing within ${limitMs} ms; the console says: ${this.#console}`);
      await this.#news(left);
    }
  }

  async #news(limitMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, limitMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

function qemuArguments(kernel: string, initrd: string, { plug, mac }: QemuGuestOptions): string[] {
  return [
    ...['-accel', 'tcg,thread=multi', '-cpu', 'max', '-m', '256', '-nodefaults'],
    ...['-display', 'none', '-monitor', 'none', '-serial', 'stdio'],
    ...['-kernel', kernel, '-initrd', initrd, '-append', 'console=ttyS0 quiet panic=-1'],
    ...['-netdev', netdev(plug)],
    ...['-device', `virtio-net-pci,netdev=n0${mac === undefined ? '' : `,mac=${mac}`}`],
  ];
}

function netdev(plug: QemuPlug): string {
  if ('datagrams' in plug) {
    const { datagrams } = plug;
    return `dgram,id=n0,local.type=unix,local.path=${datagrams}.qemu,remote.type=unix,remote.path=${datagrams}`;
  }
  const [path, server] = 'dial' in plug ? [plug.dial, 'off'] : [plug.listen, 'on'];
  return `stream,id=n0,server=${server},addr.type=unix,addr.path=${path}`;
}

function buildInitramfs(folder: string, modules: string, programs: readonly string[]): string {
  const root = join(folder, 'root');
  for (const name of ['bin', 'proc', 'sys', 'dev', 'etc', 'tmp', 'modules']) {
    mkdirSync(join(root, name), { recursive: true });
  }
  copyFileSync(staticBusybox(), join(root, 'bin/busybox'));
  chmodSync(join(root, 'bin/busybox'), 0o755);
  for (const program of programs) copyFileSync(program, join(root, 'bin', basename(program)));
  for (const module of MODULES) {
    copyFileSync(join(modules, `${module}.ko`), join(root, 'modules', `${basename(module)}.ko`));
  }
  writeFileSync(join(root, 'init'), INIT, { mode: 0o755 });
  writeFileSync(join(root, 'lease-script'), LEASE_SCRIPT, { mode: 0o755 });
  const initrd = join(folder, 'initrd.gz');
  execFileSync('sh', [
    '-c',
    'cd "$1" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1 > "$2"',
    'sh',
    root,
    initrd,
  ]);
  return initrd;
}

function staticBusybox(): string {
  const path = ['/bin/busybox', '/usr/bin/busybox'].find((candidate) => existsSync(candidate));
  if (path === undefined) throw new Error('busybox is missing (Debian package busybox-static)');
  return path;
}

interface Kernel {
  readonly image: string;
  /** The folder `kernel` of /lib/modules/VERSION. */
  readonly modules: string;
}

/** The cloud kernel of this computer, where its package is installed. */
function installedKernel(): Kernel | undefined {
  return kernelUnder('/');
}

/** The cloud kernel from Debian's archive, unpacked once into a folder of this user's and kept there. */
function fetchedKernel(): Kernel {
  const cache = join(tmpdir(), `slipway-kernel-${process.getuid?.() ?? 0}`);
  const cached = existsSync(cache) && statSync(cache).uid === process.getuid?.() ? kernelUnder(cache) : undefined;
  if (cached !== undefined) return cached;
  const work = mkdtempSync(join(tmpdir(), 'slipway-kernel-new-'));
  try {
    const depends = execFileSync('apt-cache', ['depends', KERNEL_PACKAGE], { encoding: 'utf8' });
    const name = depends.match(/Depends: (linux-image-\S+-cloud-amd64)/)?.[1];
    if (name === undefined) throw new Error(`apt-cache knows no kernel behind ${KERNEL_PACKAGE}: apt-get update`);
    execFileSync('apt-get', ['download', name], { cwd: work, stdio: 'ignore' });
    const archive = readdirSync(work).find((file) => file.endsWith('.deb'));
    execFileSync('dpkg-deb', ['-x', join(work, archive!), join(work, 'root')]);
    rmSync(cache, { recursive: true, force: true });
    renameSync(join(work, 'root'), cache);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  const kernel = kernelUnder(cache);
  if (kernel === undefined) throw new Error(`${KERNEL_PACKAGE}: the package holds no kernel with the virtio modules`);
  return kernel;
}

function kernelUnder(root: string): Kernel | undefined {
  const boot = join(root, 'boot');
  if (!existsSync(boot)) return undefined;
  for (const file of readdirSync(boot).sort().reverse()) {
    const version = file.match(/^vmlinuz-(.+-cloud-amd64)$/)?.[1];
    if (version === undefined) continue;
    const modules = join(root, 'lib/modules', version, 'kernel');
    if (MODULES.every((module) => existsSync(join(modules, `${module}.ko`))))
      return { image: join(boot, file), modules };
  }
  return undefined;
}

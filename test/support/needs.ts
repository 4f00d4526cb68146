import { accessSync, closeSync, constants, openSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { TestContext } from 'node:test';

/** Where a test that needs something the machine may lack is left out: `t` of node:test. */
export type Skippable = Pick<TestContext, 'skip'>;

/** The Debian package that brings a program, where the two names differ. */
const PACKAGES: Readonly<Record<string, string>> = {
  ab: 'apache2-utils',
  bridge: 'iproute2',
  busybox: 'busybox-static',
  capsh: 'libcap2-bin',
  conntrack: 'conntrack',
  dhclient: 'isc-dhcp-client',
  dhcpcd: 'dhcpcd-base',
  dhcrelay: 'isc-dhcp-relay',
  dig: 'bind9-dnsutils',
  dnsmasq: 'dnsmasq-base',
  docker: 'docker.io',
  dockerd: 'docker.io',
  ethtool: 'ethtool',
  gcc: 'gcc',
  hostname: 'hostname',
  ip: 'iproute2',
  ipcmk: 'util-linux',
  ipcrm: 'util-linux',
  ipcs: 'util-linux',
  iptables: 'iptables',
  journalctl: 'systemd',
  kdig: 'knot-dnsutils',
  'ldns-keygen': 'ldnsutils',
  'ldns-signzone': 'ldnsutils',
  'musl-gcc': 'musl-tools',
  nc: 'netcat-openbsd',
  newuidmap: 'uidmap',
  nft: 'nftables',
  nginx: 'nginx-light',
  nsenter: 'util-linux',
  pasta: 'passt',
  ping: 'iputils-ping',
  'qemu-system-x86_64': 'qemu-system-x86',
  script: 'bsdutils',
  setpriv: 'util-linux',
  ss: 'iproute2',
  sysctl: 'procps',
  prlimit: 'util-linux',
  systemctl: 'systemd',
  'systemd-analyze': 'systemd',
  'systemd-socket-activate': 'systemd',
  sshd: 'openssh-server',
  strace: 'strace',
  '/usr/lib/systemd/systemd': 'systemd',
  '/usr/lib/systemd/systemd-networkd': 'systemd',
  tc: 'iproute2',
  tcpdump: 'tcpdump',
  tracepath: 'iputils-tracepath',
  udhcpc: 'udhcpc',
  unshare: 'util-linux',
};

/** System folders that an ordinary user's PATH leaves out. */
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

/** True when `program` can be run by its name (or, with a slash, is an executable file). */
export function hasProgram(program: string): boolean {
  if (program.includes('/')) return isExecutable(program);
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...SYSTEM_FOLDERS];
  return folders.some((folder) => folder !== '' && isExecutable(join(folder, program)));
}

/**
 * Leaves the test out when one of `programs` is missing, and says which Debian package has it; with
 * SLIPWAY_REQUIRE_ALL=1 (set by CI, which installs them all) it fails instead. Returns true when all are there; the
 * test returns at once on false.
 */
export function needs(t: Skippable, ...programs: readonly string[]): boolean {
  const missing = programs.filter((program) => !hasProgram(program));
  if (missing.length === 0) return true;
  return leaveOut(t, missing.map((p) => `needs ${p} (Debian package ${PACKAGES[p] ?? p})`).join('; '));
}

/** Like `needs`: the test must run as root. */
export function needsRoot(t: Skippable): boolean {
  return process.geteuid?.() === 0 || leaveOut(t, 'needs root');
}

/** Like `needs`: /dev/net/tun must open for reading and writing. */
export function needsTun(t: Skippable): boolean {
  try {
    closeSync(openSync('/dev/net/tun', constants.O_RDWR));
    return true;
  } catch (error) {
    return leaveOut(t, `needs /dev/net/tun (${(error as NodeJS.ErrnoException).code ?? String(error)})`);
  }
}

/** Skips with the reason, or throws it where nothing may be skipped. */
function leaveOut(t: Skippable, reason: string): false {
  if (process.env.SLIPWAY_REQUIRE_ALL === '1') throw new Error(`SLIPWAY_REQUIRE_ALL=1 and this test ${reason}`);
  t.skip(reason);
  return false;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

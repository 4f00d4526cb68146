/**
 * Network devices by ioctl, as netdevice(7) and the kernel's tuntap.rst describe them (and the queue length by
 * netlink): a guest's namespace is set up without iproute2, which a machine need not have. Every function acts on the
 * network namespace of the calling process.
 */
import { NO_OFFLOADS, type Offloads } from '../../env/offloads.ts';
import { SlipwayError } from '../../facts/errors.ts';
import { AF_INET, O_NONBLOCK, SOCK_CLOEXEC, SOCK_DGRAM } from '../socket-numbers.ts';
import { addressOf, check, close, declare, errnoName, O_CLOEXEC, O_RDWR, open, socket } from './libc.ts';
import { setQueueLength } from './netlink.ts';

const ioctl: (fd: number, request: number, argument: Uint8Array) => number = declare(
  'int ioctl(int fd, unsigned long request, void *argument)',
);
const ioctlValue: (fd: number, request: number, argument: number) => number = declare(
  'int ioctl(int fd, unsigned long request, unsigned long argument)',
);

const SIOCADDRT = 0x890b;
const SIOCGIFFLAGS = 0x8913;
const SIOCSIFFLAGS = 0x8914;
const SIOCSIFADDR = 0x8916;
const SIOCSIFNETMASK = 0x891c;
const SIOCSIFMTU = 0x8922;
const SIOCSIFHWADDR = 0x8924;
const TUNSETIFF = 0x400454ca;
const TUNSETOFFLOAD = 0x400454d0;
const TUNSETVNETHDRSZ = 0x400454d8;

const IFF_UP = 0x1;
const IFF_TAP = 0x2;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
const ARPHRD_ETHER = 1;
const RTF_UP = 0x1;
const RTF_GATEWAY = 0x2;

const TUN_F_CSUM = 0x01;
const TUN_F_TSO4 = 0x02;
const TUN_F_TSO6 = 0x04;
const TUN_F_USO4 = 0x20;
const TUN_F_USO6 = 0x40;

/** struct ifreq: the name, then a union. */
const IFREQ_BYTES = 40;
/** IFNAMSIZ without the closing zero. */
const NAME_BYTES_MAX = 15;
const VALUE = 16;
/** struct rtentry on 64-bit Linux, and its fields. */
const RTENTRY_BYTES = 120;
const RT_DST = 8;
const RT_GATEWAY = 24;
const RT_GENMASK = 40;
const RT_FLAGS = 56;
const RT_DEV = 88;

/**
 * The virtio header before every frame of a tap opened with `vnetHeader`: struct virtio_net_hdr without num_buffers.
 */
export const VNET_HEADER_BYTES = 10;

export interface Tap {
  /** Non-blocking and close-on-exec; the device goes when its last duplicate is closed. The caller owns it. */
  readonly fd: number;
  readonly offloads: Offloads;
}

export interface NewTap {
  /** 1 to 15 bytes. */
  readonly name: string;
  /** Frames are preceded by VNET_HEADER_BYTES, and every offload that the kernel knows is asked for. */
  readonly vnetHeader: boolean;
}

/**
 * Opens the tap device of that name in this network namespace, making it when there is none. Errors: ERR_TUN_MISSING,
 * ERR_TUN_DENIED, ERR_SYSTEM_CALL.
 */
export function openTap({ name, vnetHeader }: NewTap): Tap {
  const request = ifreq(name);
  const fd = open('/dev/net/tun', O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (fd === -1) throw tunError(errnoName());
  try {
    request.writeUInt16LE(IFF_TAP | IFF_NO_PI | (vnetHeader ? IFF_VNET_HDR : 0), VALUE);
    check(`making the tap device ${name}`, ioctl(fd, TUNSETIFF, request));
    return { fd, offloads: vnetHeader ? grantOffloads(fd) : NO_OFFLOADS };
  } catch (error) {
    close(fd);
    throw error;
  }
}

/** Asks for everything, then for what older kernels know: the first set that the kernel takes is granted whole. */
function grantOffloads(fd: number): Offloads {
  const headerBytes = Buffer.alloc(4);
  headerBytes.writeInt32LE(VNET_HEADER_BYTES);
  check('setting the virtio header length', ioctl(fd, TUNSETVNETHDRSZ, headerBytes));
  const tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
  if (ioctlValue(fd, TUNSETOFFLOAD, tcp | TUN_F_USO4 | TUN_F_USO6) === 0) {
    return { checksum: true, tcpSegmentation: true, udpSegmentation: true };
  }
  if (ioctlValue(fd, TUNSETOFFLOAD, tcp) === 0) {
    return { checksum: true, tcpSegmentation: true, udpSegmentation: false };
  }
  return { ...NO_OFFLOADS, checksum: ioctlValue(fd, TUNSETOFFLOAD, TUN_F_CSUM) === 0 };
}

/** Why /dev/net/tun cannot be opened, as the error that a person reads. */
export function tunError(reason: string): SlipwayError {
  if (reason === 'EACCES' || reason === 'EPERM') {
    return new SlipwayError(
      'ERR_TUN_DENIED',
      `This user may not open /dev/net/tun (${reason}), which the guest's network interface needs.`,
      'Allow it with: sudo chmod 0666 /dev/net/tun (in a container: add --device /dev/net/tun), or run Slipway as root.',
    );
  }
  return new SlipwayError(
    'ERR_TUN_MISSING',
    `There is no usable /dev/net/tun (${reason}), which the guest's network interface needs.`,
    'Load the driver with: sudo modprobe tun (in a container: start it with --device /dev/net/tun).',
  );
}

export interface InterfaceOptions {
  /** 48-bit number; leave out to keep the device's own. */
  readonly mac?: number;
  readonly mtu?: number;
  /** Packets that the device queues before it drops. */
  readonly txQueueLength?: number;
  /** IPv4, unsigned 32-bit, with the prefix length. */
  readonly address?: number;
  readonly prefix?: number;
}

/** Sets what is given, then brings the interface up. Errors: ERR_SYSTEM_CALL. */
export function configureInterface(name: string, options: InterfaceOptions): void {
  withControlSocket((control) => {
    const set = (what: string, request: number, fill: (bytes: Buffer) => void): void => {
      const bytes = ifreq(name);
      fill(bytes);
      check(`setting the ${what} of ${name}`, ioctl(control, request, bytes));
    };
    const { mac, mtu, txQueueLength, address, prefix = 24 } = options;
    if (mac !== undefined) {
      set('MAC address', SIOCSIFHWADDR, (bytes) => {
        bytes.writeUInt16LE(ARPHRD_ETHER, VALUE);
        bytes.writeUIntBE(mac, VALUE + 2, 6);
      });
    }
    if (mtu !== undefined) set('MTU', SIOCSIFMTU, (bytes) => bytes.writeInt32LE(mtu, VALUE));
    if (txQueueLength !== undefined) setQueueLength(name, txQueueLength);
    if (address !== undefined) {
      set('address', SIOCSIFADDR, (bytes) => writeSocketAddress(bytes, VALUE, address));
      set('netmask', SIOCSIFNETMASK, (bytes) => writeSocketAddress(bytes, VALUE, netmask(prefix)));
    }
    const flags = ifreq(name);
    check(`reading the flags of ${name}`, ioctl(control, SIOCGIFFLAGS, flags));
    const up = flags.readUInt16LE(VALUE) | IFF_UP;
    set('flags', SIOCSIFFLAGS, (bytes) => bytes.writeUInt16LE(up, VALUE));
  });
}

/** Routes everything else to `gateway` (IPv4, unsigned 32-bit) through that interface. Errors: ERR_SYSTEM_CALL. */
export function addDefaultRoute(name: string, gateway: number): void {
  withControlSocket((control) => {
    // The name that the structure points to lies behind it, in the same buffer.
    const route = Buffer.alloc(RTENTRY_BYTES + NAME_BYTES_MAX + 1);
    route.write(name, RTENTRY_BYTES, NAME_BYTES_MAX);
    writeSocketAddress(route, RT_DST, 0);
    writeSocketAddress(route, RT_GENMASK, 0);
    writeSocketAddress(route, RT_GATEWAY, gateway);
    route.writeUInt16LE(RTF_UP | RTF_GATEWAY, RT_FLAGS);
    route.writeBigUInt64LE(addressOf(route) + BigInt(RTENTRY_BYTES), RT_DEV);
    check(`adding the default route through ${name}`, ioctl(control, SIOCADDRT, route));
  });
}

function withControlSocket(use: (control: number) => void): void {
  const control = check('socket', socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  try {
    use(control);
  } finally {
    close(control);
  }
}

function ifreq(name: string): Buffer {
  const bytes = Buffer.alloc(IFREQ_BYTES);
  if (name === '' || Buffer.byteLength(name) > NAME_BYTES_MAX) {
    throw new RangeError(`an interface name has 1 to ${NAME_BYTES_MAX} bytes, not '${name}'`);
  }
  bytes.write(name);
  return bytes;
}

function netmask(prefix: number): number {
  return prefix === 0 ? 0 : (0xffffffff << (32 - prefix)) >>> 0;
}

/** struct sockaddr_in: family, port, address. */
function writeSocketAddress(bytes: Buffer, at: number, address: number): void {
  bytes.writeUInt16LE(AF_INET, at);
  bytes.writeUInt32BE(address, at + 4);
}

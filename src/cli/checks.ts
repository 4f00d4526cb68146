/**
 * The checks themselves, one after the other, for whatever guest there is: what differs between guests is how they open
 * sockets (`CheckedGuest`). Nothing here knows that the network is Slipway's.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import {
  BOOT_REQUEST,
  DHCP_ACK,
  DHCP_CLIENT_PORT,
  DHCP_DEFAULT_MAX_BYTES,
  DHCP_DISCOVER,
  DHCP_OFFER,
  DHCP_REQUEST,
  DHCP_SERVER_PORT,
  DhcpMessage,
  OPTION_MESSAGE_TYPE,
  OPTION_REQUESTED_ADDRESS,
  OPTION_SERVER_IDENTIFIER,
  parseDhcp,
} from '../wire/dhcpv4.ts';
import { DhcpWriter } from '../wire/dhcpv4-writer.ts';
import { formatIpv4Address } from '../wire/ipv4-address.ts';
import type { ChecklistPlan, CheckName, CheckReport } from './checklist.ts';
import { DEFAULT_HOST_NAMES } from '../facts/own-names.ts';

const [HOST] = DEFAULT_HOST_NAMES;
const BROADCAST = '255.255.255.255';
/** A check that sees nothing come for so long has failed. */
const PATIENCE_MS = 10_000;
const ECHO_BYTES: readonly number[] = [1, 1472, 8000, 65_507];

/** What a check saw. */
export type Seen = Pick<CheckReport, 'detail' | 'bytesPerSecond'> & { readonly skipped?: true };

/** A UDP socket of a guest. */
export interface GuestDatagramSocket {
  send(bytes: Uint8Array, port: number, address: string): void;
  /** The next datagram. */
  receive(): Promise<Uint8Array>;
  close(): void;
}

/** A guest as the checks use it. Addresses are text. */
export interface CheckedGuest {
  /** `port` 0 for any; may broadcast. */
  openDatagrams(port: number): Promise<GuestDatagramSocket>;
  /** The lease that was given, for a guest that has no address until then. */
  leased(ack: DhcpMessage): void;
  /** The IPv4 address of `name`, by the network's DNS server. */
  lookup(name: string): Promise<string>;
  /** Emits 'connect', or 'error' with a code. */
  connect(port: number, address: string): Duplex;
  ping(address: string): Promise<Seen>;
}

/** What of the plan the guest itself must know. */
export type GuestPlan = Omit<ChecklistPlan, 'reportPath'>;

/** Runs all checks in order; `report` is called after each. Rejects never: a failure is a report. */
export async function runChecks(
  guest: CheckedGuest,
  plan: GuestPlan,
  report: (report: CheckReport) => void,
): Promise<void> {
  const checks: readonly (readonly [CheckName, Check])[] = [
    ['lease', () => lease(guest, plan)],
    ['name lookup', () => nameLookup(guest, plan)],
    ['download', (progress) => download(guest, plan, progress)],
    ['refused port', () => refusedPort(guest, plan)],
    ['ping', () => guest.ping(plan.hostAddress)],
    ['UDP echo', () => udpEcho(guest, plan)],
  ];
  for (const [name, check] of checks) report(await timed(name, check));
}

/** It calls `progress` when something came: a slow computer is not a broken network. */
type Check = (progress: () => void) => Promise<Seen>;

async function timed(name: CheckName, check: Check): Promise<CheckReport> {
  const begun = performance.now();
  const took = (): number => performance.now() - begun;
  try {
    const { skipped, ...seen } = await patiently(check);
    return { name, outcome: skipped ? 'skipped' : 'ok', tookMs: took(), ...seen };
  } catch (error) {
    return { name, outcome: 'failed', detail: (error as Error).message, tookMs: took() };
  }
}

function patiently(check: Check): Promise<Seen> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`nothing arrived within ${PATIENCE_MS / 1000} s`)), PATIENCE_MS);
    check(() => timer.refresh())
      .then(resolve, reject)
      .finally(() => clearTimeout(timer));
  });
}

/** DISCOVER, OFFER, REQUEST, ACK, as a client without an address does it. */
async function lease(guest: CheckedGuest, plan: GuestPlan): Promise<Seen> {
  const socket = await guest.openDatagrams(DHCP_CLIENT_PORT);
  try {
    const offer = await exchange(socket, plan.mac, DHCP_DISCOVER, DHCP_OFFER);
    const ack = await exchange(socket, plan.mac, DHCP_REQUEST, DHCP_ACK, offer);
    const address = formatIpv4Address(ack.yiaddr);
    if (address !== plan.address) throw new Error(`${address} was given, ${plan.address} is reserved`);
    guest.leased(ack);
    return { detail: `${address} for ${ack.leaseSeconds ?? 0} s` };
  } finally {
    socket.close();
  }
}

async function exchange(
  socket: GuestDatagramSocket,
  mac: number,
  type: number,
  wanted: number,
  offer?: DhcpMessage,
): Promise<DhcpMessage> {
  const xid = (Math.random() * 2 ** 32) >>> 0;
  const bytes = new Uint8Array(DHCP_DEFAULT_MAX_BYTES);
  const writer = new DhcpWriter(bytes);
  const none = { hops: 0, secs: 0, ciaddr: 0, yiaddr: 0, siaddr: 0, giaddr: 0 };
  writer.start(0, bytes.length, { ...none, operation: BOOT_REQUEST, xid, broadcast: true, chaddr: mac });
  writer.putU8(OPTION_MESSAGE_TYPE, type);
  if (offer !== undefined) {
    writer.putU32(OPTION_REQUESTED_ADDRESS, offer.yiaddr);
    writer.putU32(OPTION_SERVER_IDENTIFIER, offer.serverIdentifier ?? 0);
  }
  socket.send(bytes.subarray(0, writer.finish()), DHCP_SERVER_PORT, BROADCAST);
  const answer = new DhcpMessage();
  for (;;) {
    const message = await socket.receive();
    const fault = parseDhcp(message, 0, message.length, answer);
    if (fault === undefined && answer.xid === xid && answer.messageType === wanted) return answer;
  }
}

async function nameLookup(guest: CheckedGuest, plan: GuestPlan): Promise<Seen> {
  const address = await guest.lookup(HOST);
  if (address !== plan.hostAddress) throw new Error(`${HOST} is ${address}, not ${plan.hostAddress}`);
  return { detail: `${HOST} is ${address}` };
}

async function download(guest: CheckedGuest, plan: GuestPlan, progress: () => void): Promise<Seen> {
  const begun = performance.now();
  const createConnection = (): Duplex => guest.connect(plan.httpPort, plan.hostAddress);
  const headers = { host: `${HOST}:${plan.httpPort}`, connection: 'close' };
  const request = get({ createConnection, headers, path: '/' });
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Uint8Array>) {
    progress();
    hash.update(chunk);
    bytes += chunk.length;
  }
  if (bytes !== plan.downloadBytes) throw new Error(`${bytes} of ${plan.downloadBytes} bytes arrived`);
  if (hash.digest('hex') !== plan.sha256) throw new Error('the checksum differs');
  return {
    detail: `${bytes / 2 ** 20} MiB, checksum right`,
    bytesPerSecond: (bytes * 1000) / (performance.now() - begun),
  };
}

async function refusedPort(guest: CheckedGuest, plan: GuestPlan): Promise<Seen> {
  const socket = guest.connect(plan.refusedPort, plan.hostAddress);
  const outcome = await new Promise<string>((resolve) => {
    socket.once('connect', () => resolve('connected'));
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
  socket.destroy();
  if (outcome !== 'ECONNREFUSED') throw new Error(`expected ECONNREFUSED, found ${outcome}`);
  return { detail: 'ECONNREFUSED, as the host said' };
}

async function udpEcho(guest: CheckedGuest, plan: GuestPlan): Promise<Seen> {
  const socket = await guest.openDatagrams(0);
  try {
    for (const bytes of ECHO_BYTES) {
      const sent = Buffer.alloc(bytes, bytes & 0xff);
      socket.send(sent, plan.udpPort, plan.hostAddress);
      const echoed = await socket.receive();
      if (!sent.equals(echoed)) throw new Error(`a datagram of ${bytes} bytes came back different`);
    }
    return { detail: `datagrams of ${ECHO_BYTES.join(', ')} bytes` };
  } finally {
    socket.close();
  }
}

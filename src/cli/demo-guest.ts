/**
 * Runs inside the guest's namespace: the checks of the demo, one after the other, reported as JSON lines. Everything here
 * goes through the guest's own kernel; nothing knows that the network is Slipway's.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { promisify } from 'node:util';
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

const HOST = 'host.docker.internal';
/** A check that takes longer has failed. */
const PATIENCE_MS = 10_000;
const ECHO_BYTES: readonly number[] = [1, 1472, 8000, 65_507];

type Seen = Pick<CheckReport, 'detail' | 'bytesPerSecond'> & { readonly skipped?: true };

const plan = JSON.parse(process.env.SLIPWAY_DEMO_PLAN ?? '{}') as ChecklistPlan;
const reports = connect(plan.reportPath);
await once(reports, 'connect');

const checks: readonly (readonly [CheckName, () => Promise<Seen>])[] = [
  ['lease', lease],
  ['name lookup', nameLookup],
  ['download', download],
  ['refused port', refusedPort],
  ['ping', ping],
  ['UDP echo', udpEcho],
];
for (const [name, check] of checks) reports.write(`${JSON.stringify(await timed(name, check))}\n`);
reports.end();
await once(reports, 'close');
process.exit(0);

async function timed(name: CheckName, check: () => Promise<Seen>): Promise<CheckReport> {
  const begun = performance.now();
  const took = (): number => performance.now() - begun;
  try {
    const { skipped, ...seen } = await patiently(check());
    return { name, outcome: skipped ? 'skipped' : 'ok', tookMs: took(), ...seen };
  } catch (error) {
    return { name, outcome: 'failed', detail: (error as Error).message, tookMs: took() };
  }
}

function patiently<T>(work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`nothing came within ${PATIENCE_MS / 1000} s`)), PATIENCE_MS);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** DISCOVER, OFFER, REQUEST, ACK, as a client without an address would (the interface has its own already). */
async function lease(): Promise<Seen> {
  const socket = createSocket({ type: 'udp4', reuseAddr: true });
  socket.bind(DHCP_CLIENT_PORT);
  await once(socket, 'listening');
  socket.setBroadcast(true);
  try {
    const offer = await exchange(socket, DHCP_DISCOVER, DHCP_OFFER);
    const ack = await exchange(socket, DHCP_REQUEST, DHCP_ACK, offer);
    const address = formatIpv4Address(ack.yiaddr);
    if (address !== plan.address) throw new Error(`${address} was given, ${plan.address} is reserved`);
    return { detail: `${address} for ${ack.leaseSeconds ?? 0} s` };
  } finally {
    socket.close();
  }
}

async function exchange(socket: Socket, type: number, wanted: number, offer?: DhcpMessage): Promise<DhcpMessage> {
  const xid = (Math.random() * 2 ** 32) >>> 0;
  const bytes = new Uint8Array(DHCP_DEFAULT_MAX_BYTES);
  const writer = new DhcpWriter(bytes);
  const none = { hops: 0, secs: 0, ciaddr: 0, yiaddr: 0, siaddr: 0, giaddr: 0 };
  writer.start(0, bytes.length, { ...none, operation: BOOT_REQUEST, xid, broadcast: true, chaddr: plan.mac });
  writer.putU8(OPTION_MESSAGE_TYPE, type);
  if (offer !== undefined) {
    writer.putU32(OPTION_REQUESTED_ADDRESS, offer.yiaddr);
    writer.putU32(OPTION_SERVER_IDENTIFIER, offer.serverIdentifier ?? 0);
  }
  socket.send(bytes.subarray(0, writer.finish()), DHCP_SERVER_PORT, '255.255.255.255');
  const answer = new DhcpMessage();
  for (;;) {
    const [message] = (await once(socket, 'message')) as [Uint8Array];
    const fault = parseDhcp(message, 0, message.length, answer);
    if (fault === undefined && answer.xid === xid && answer.messageType === wanted) return answer;
  }
}

async function nameLookup(): Promise<Seen> {
  const { address } = await lookup(HOST, { family: 4 });
  if (address !== plan.hostAddress) throw new Error(`${HOST} is ${address}, not ${plan.hostAddress}`);
  return { detail: `${HOST} is ${address}` };
}

async function download(): Promise<Seen> {
  const begun = performance.now();
  const [response] = (await once(get({ host: HOST, port: plan.httpPort, path: '/' }), 'response')) as [IncomingMessage];
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Uint8Array>) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  if (bytes !== plan.downloadBytes) throw new Error(`${bytes} of ${plan.downloadBytes} bytes came`);
  if (hash.digest('hex') !== plan.sha256) throw new Error('the checksum differs');
  return {
    detail: `${bytes / 2 ** 20} MiB, checksum right`,
    bytesPerSecond: (bytes * 1000) / (performance.now() - begun),
  };
}

async function refusedPort(): Promise<Seen> {
  const socket = connect(plan.refusedPort, plan.hostAddress);
  const outcome = await new Promise<string>((resolve) => {
    socket.once('connect', () => resolve('connected'));
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
  socket.destroy();
  if (outcome !== 'ECONNREFUSED') throw new Error(`expected ECONNREFUSED, found ${outcome}`);
  return { detail: 'ECONNREFUSED, as the host said' };
}

async function ping(): Promise<Seen> {
  try {
    const { stdout } = await promisify(execFile)('ping', ['-n', '-c', '3', '-i', '0.2', '-W', '2', plan.hostAddress]);
    const average = /= [\d.]+\/([\d.]+)\//.exec(stdout)?.[1];
    return { detail: `${plan.hostAddress} answers${average === undefined ? '' : ` in ${average} ms`}` };
  } catch (error) {
    const { code } = error as { code?: number | string };
    if (code === 'ENOENT') return { detail: 'no ping program here (Debian: iputils-ping)', skipped: true };
    throw new Error(`${plan.hostAddress} does not answer`);
  }
}

async function udpEcho(): Promise<Seen> {
  const socket = createSocket('udp4');
  try {
    for (const bytes of ECHO_BYTES) {
      const sent = Buffer.alloc(bytes, bytes & 0xff);
      socket.send(sent, plan.udpPort, plan.hostAddress);
      const [echoed] = (await once(socket, 'message')) as [Buffer];
      if (!echoed.equals(sent)) throw new Error(`a datagram of ${bytes} bytes came back different`);
    }
    return { detail: `datagrams of ${ECHO_BYTES.join(', ')} bytes` };
  } finally {
    socket.close();
  }
}

/** Runs in the namespace that routed.test.ts builds, and prints what the sockets there hear as JSON. */
import type { DatagramBatch, DatagramFailure, HostDatagram, HostErrorCode } from '../../../src/env/host.ts';
import { createEpollHarness } from './harness.ts';
import { StreamRecorder } from './peer.ts';

export interface Findings {
  readonly udp: Record<string, DatagramFailure[]>;
  readonly echo: Record<string, DatagramFailure[] | number>;
  readonly tcp: Record<string, HostErrorCode | undefined>;
}

const BEHIND = 0x0a020002;
const ROUTER = 0x0a010002;
const UNREACHABLE = 0x0a090001;
const PROHIBITED = 0x0a080001;

const harness = createEpollHarness();
const { host, arena } = harness;
const at = arena.allocate(65536);
const sum = (length: number): number => arena.sum(at, length, 0);

let failures: DatagramFailure[] = [];
let readable = false;
const handler = {
  readable: (): void => {
    readable = true;
  },
  failed: (failure: DatagramFailure): void => {
    failures.push({ ...failure });
  },
};

function opened(socket: HostDatagram | HostErrorCode): HostDatagram {
  if (typeof socket === 'string') throw new Error(socket);
  return socket;
}

function batch(address: number, port: number, length: number, ttl: number, dontFragment: boolean): DatagramBatch {
  return {
    at: Int32Array.of(at),
    length: Int32Array.of(length),
    address: Float64Array.of(address),
    port: Int32Array.of(port),
    ttl: Int32Array.of(ttl),
    dontFragment: Uint8Array.of(dontFragment ? 1 : 0),
    tos: new Uint8Array(1),
    count: 1,
  };
}

async function heard(expected: number): Promise<DatagramFailure[]> {
  if (expected > 0) await harness.until(() => failures.length >= expected, 'an ICMP error');
  else for (let i = 0; i < 20; i++) await harness.poll();
  const result = failures;
  failures = [];
  return result;
}

const udpSocket = opened(host.openDatagram(handler));
async function udp(
  address: number,
  length: number,
  ttl: number,
  df: boolean,
  expected = 1,
): Promise<DatagramFailure[]> {
  udpSocket.send(batch(address, 33434, length, ttl, df));
  return heard(expected);
}

const echoSocket = opened(host.openEcho(handler));
async function echo(
  address: number,
  length: number,
  ttl: number,
  df: boolean,
  expected = 1,
): Promise<DatagramFailure[]> {
  arena.bytes.fill(0, at, at + length);
  arena.bytes[at] = 8;
  arena.view.setUint16(at + 4, 4711);
  arena.view.setUint16(at + 6, 77);
  arena.view.setUint16(at + 2, ~sum(length) & 0xffff);
  echoSocket.send(batch(address, 0, length, ttl, df));
  return heard(expected);
}

async function tcp(address: number): Promise<HostErrorCode | undefined> {
  const recorder = new StreamRecorder();
  const stream = host.dial(address, 9, 0, recorder);
  if (typeof stream === 'string') return stream;
  await harness.until(() => recorder.failure !== undefined, 'the dial to fail');
  return recorder.failure;
}

const udpFindings = {
  'ttl 1': await udp(BEHIND, 10, 1, false),
  "don't fragment": await udp(BEHIND, 1400, 0, true),
  "don't fragment again": await udp(BEHIND, 1400, 0, true),
  fragments: await udp(BEHIND, 1400, 0, false, 0),
  unreachable: await udp(UNREACHABLE, 10, 0, false),
  prohibited: await udp(PROHIBITED, 10, 0, false),
};
const echoFindings = {
  'ttl 1': await echo(BEHIND, 16, 1, false),
  "don't fragment": await echo(BEHIND, 1400, 0, true),
  reply: await echo(ROUTER, 64, 0, false, 0),
  replies: readable ? echoSocket.receive(batch(0, 0, 0, 0, false), at, 65536, 1) : 0,
};
const tcpFindings = {
  unreachable: await tcp(UNREACHABLE),
  prohibited: await tcp(PROHIBITED),
  refused: await tcp(ROUTER),
};
const findings: Findings = { udp: udpFindings, echo: echoFindings, tcp: tcpFindings };
console.log(JSON.stringify(findings));
await harness.close();

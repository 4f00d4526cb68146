import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ARP_REPLY, ARP_REQUEST, writeArp } from '../../src/wire/arp.ts';
import { describeFrame } from '../../src/wire/describe.ts';
import { writeDnsQuery } from '../../src/wire/dns-message.ts';
import {
  BROADCAST_MAC,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  writeEthernet,
} from '../../src/wire/ethernet.ts';
import { ICMP_ECHO_REQUEST, writeIcmpEcho } from '../../src/wire/icmpv4.ts';
import { IPV4_MORE_FRAGMENTS, PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP, writeIpv4 } from '../../src/wire/ipv4.ts';
import { ACK, PSH, SYN, writeTcp } from '../../src/wire/tcp.ts';
import { writeSynOptions } from '../../src/wire/tcp-options.ts';
import { writeUdp } from '../../src/wire/udp.ts';
import { parsesHostileBytes } from '../support/hostile-bytes.ts';

const GUEST = 0xc0a84103;
const GATEWAY = 0xc0a84101;
const GUEST_MAC = 0x5a94efe40cee;

function packet(protocol: number, payloadBytes: number, write: (bytes: Uint8Array) => void, offset = 0): Uint8Array {
  const bytes = new Uint8Array(34 + payloadBytes);
  writeEthernet(bytes, 0, BROADCAST_MAC, GUEST_MAC, ETHERTYPE_IPV4);
  writeIpv4(bytes, 14, 20 + payloadBytes, 7, offset, 64, protocol, GUEST, GATEWAY);
  write(bytes);
  return bytes;
}

function arp(operation: number): Uint8Array {
  const bytes = new Uint8Array(42);
  writeEthernet(bytes, 0, BROADCAST_MAC, GUEST_MAC, ETHERTYPE_ARP);
  writeArp(bytes, 14, operation, GUEST_MAC, GUEST, 0, GATEWAY);
  return bytes;
}

const syn = packet(PROTOCOL_TCP, 32, (bytes) => {
  writeTcp(bytes, 34, 40000, 443, 0xffffffff, 0, 32, SYN, 65535);
  writeSynOptions(bytes, 54, 1460, 7, true);
});
const data = packet(PROTOCOL_TCP, 25, (bytes) => {
  writeTcp(bytes, 34, 40000, 443, 0xffffffff, 5, 20, ACK | PSH, 100);
});
const echo = packet(PROTOCOL_ICMP, 12, (bytes) => {
  writeIcmpEcho(bytes, 34, ICMP_ECHO_REQUEST, 1, 2);
});
const dns = packet(PROTOCOL_UDP, 8 + 20, (bytes) => {
  writeUdp(bytes, 34, 5000, 53, 28);
});
const fragment = packet(PROTOCOL_UDP, 16, () => undefined, IPV4_MORE_FRAGMENTS | 185);

const LINES: readonly (readonly [Uint8Array, string])[] = [
  [arp(ARP_REQUEST), 'ARP who-has 192.168.65.1 tell 192.168.65.3'],
  [arp(ARP_REPLY), 'ARP reply 192.168.65.3 is-at 5a:94:ef:e4:0c:ee'],
  [
    syn,
    'IP 192.168.65.3.40000 > 192.168.65.1.443: Flags [S], seq 4294967295, win 65535, options [mss 1460,sackOK,wscale 7], length 0',
  ],
  [data, 'IP 192.168.65.3.40000 > 192.168.65.1.443: Flags [P.], seq 4294967295:4, ack 5, win 100, length 5'],
  [echo, 'IP 192.168.65.3 > 192.168.65.1: ICMP echo request, id 1, seq 2, length 12'],
  [fragment, 'IP 192.168.65.3 > 192.168.65.1: (frag 7:1480+) length 16'],
  [dns, 'IP 192.168.65.3.5000 > 192.168.65.1.53: DNS dns-not-one-question, length 20'],
  [syn.subarray(0, 30), 'IP ipv4-truncated'],
  [syn.subarray(0, 13), 'ethernet-truncated (13 bytes)'],
];

test('each kind of frame has its line', () => {
  for (const [frame, line] of LINES) assert.equal(describeFrame(frame, 0, frame.length), line);
});

test('a name server question is told by name, an unknown type by its MACs', () => {
  const question = packet(PROTOCOL_UDP, 8 + 21, (bytes) => {
    writeUdp(bytes, 34, 5000, 53, 29);
    writeDnsQuery(bytes, 42, 63, 9, 'a.b', 1);
  });
  const line = 'IP 192.168.65.3.5000 > 192.168.65.1.53: DNS 9 A a.b.?, length 21';
  assert.equal(describeFrame(question, 0, question.length), line);
  const response = question.slice();
  response.set([0x81, 0x83], 44);
  const answered = 'IP 192.168.65.3.5000 > 192.168.65.1.53: DNS 9 A a.b. NXDOMAIN, 0 answers, length 21';
  assert.equal(describeFrame(response, 0, response.length), answered);
  const other = new Uint8Array(60);
  writeEthernet(other, 0, BROADCAST_MAC, GUEST_MAC, ETHERTYPE_IPV6);
  assert.equal(describeFrame(other, 0, 60), '5a:94:ef:e4:0c:ee > ff:ff:ff:ff:ff:ff, ethertype 0x86dd, length 60');
});

test('never throws and never reads past the end', () => {
  parsesHostileBytes(
    LINES.map(([frame]) => frame),
    (bytes, at, end) => describeFrame(bytes, at, end - at),
  );
});

import { ARP_REPLY, ARP_REQUEST, ArpPacket, parseArp } from './arp.ts';
import { readU16 } from './bytes.ts';
import { DHCP_CLIENT_PORT, DHCP_SERVER_PORT, DhcpMessage, parseDhcp } from './dhcpv4.ts';
import { DnsQuestion, dnsRcodeName, dnsTypeName, parseDnsQuestion } from './dns-message.ts';
import {
  destinationMac,
  ETHERNET_HEADER_BYTES,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  etherType,
  sourceMac,
} from './ethernet.ts';
import {
  ICMP_DESTINATION_UNREACHABLE,
  ICMP_ECHO_REPLY,
  ICMP_ECHO_REQUEST,
  ICMP_FRAGMENTATION_NEEDED,
  ICMP_TIME_EXCEEDED,
  IcmpHeader,
  parseIcmp,
} from './icmpv4.ts';
import { Ipv4Header, PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP, parseIpv4 } from './ipv4.ts';
import { formatIpv4Address } from './ipv4-address.ts';
import { formatMac } from './mac.ts';
import { ACK, CWR, ECE, FIN, PSH, parseTcp, RST, SYN, TCP_HEADER_BYTES, TcpHeader, URG } from './tcp.ts';
import { parseTcpOptions, TcpOptions } from './tcp-options.ts';
import { parseUdp, UDP_HEADER_BYTES, UdpHeader } from './udp.ts';

/**
 * One line about a frame, much as tcpdump prints it: for logs and for what a failed test shows. Never throws, never reads
 * outside [at, at + length). What does not parse is told by its fault word. Checksums are not looked at.
 */
export function describeFrame(bytes: Uint8Array, at: number, length: number): string {
  if (length < ETHERNET_HEADER_BYTES) return `ethernet-truncated (${length} bytes)`;
  const payloadAt = at + ETHERNET_HEADER_BYTES;
  const end = at + length;
  const type = etherType(bytes, at);
  if (type === ETHERTYPE_ARP) return describeArp(bytes, payloadAt, end);
  if (type === ETHERTYPE_IPV4) return describeIpv4(bytes, payloadAt, end);
  const macs = `${formatMac(sourceMac(bytes, at))} > ${formatMac(destinationMac(bytes, at))}`;
  return `${macs}, ethertype 0x${type.toString(16).padStart(4, '0')}, length ${length}`;
}

function describeArp(bytes: Uint8Array, at: number, end: number): string {
  const arp = new ArpPacket();
  const fault = parseArp(bytes, at, end, arp);
  if (fault !== undefined) return `ARP ${fault}`;
  const sender = formatIpv4Address(arp.senderAddress);
  const target = formatIpv4Address(arp.targetAddress);
  if (arp.operation === ARP_REQUEST) return `ARP who-has ${target} tell ${sender}`;
  if (arp.operation === ARP_REPLY) return `ARP reply ${sender} is-at ${formatMac(arp.senderMac)}`;
  return `ARP operation ${arp.operation}`;
}

/** The packet at [at, end): what `describeFrame` says about it, without the frame. */
export function describeIpv4(bytes: Uint8Array, at: number, end: number): string {
  const ip = new Ipv4Header();
  const fault = parseIpv4(bytes, at, end, ip);
  if (fault !== undefined) return `IP ${fault}`;
  const payloadAt = at + ip.headerBytes;
  const payloadEnd = at + ip.totalLength;
  const source = formatIpv4Address(ip.source);
  const destination = formatIpv4Address(ip.destination);
  const fragment = ip.moreFragments || ip.fragmentOffset > 0;
  const place = fragment ? ` (frag ${ip.identification}:${ip.fragmentOffset}${ip.moreFragments ? '+' : ''})` : '';
  if (ip.fragmentOffset > 0) return `IP ${source} > ${destination}:${place} length ${payloadEnd - payloadAt}`;
  switch (ip.protocol) {
    case PROTOCOL_TCP:
      return `IP${place} ${describeTcp(bytes, payloadAt, payloadEnd, source, destination)}`;
    case PROTOCOL_UDP:
      return `IP${place} ${describeUdp(bytes, payloadAt, payloadEnd, source, destination, fragment)}`;
    case PROTOCOL_ICMP:
      return `IP${place} ${source} > ${destination}: ICMP ${describeIcmp(bytes, payloadAt, payloadEnd)}`;
    default:
      return `IP${place} ${source} > ${destination}: protocol ${ip.protocol}, length ${payloadEnd - payloadAt}`;
  }
}

function describeTcp(bytes: Uint8Array, at: number, end: number, source: string, destination: string): string {
  const tcp = new TcpHeader();
  const fault = parseTcp(bytes, at, end, tcp);
  if (fault !== undefined) return `${source} > ${destination}: ${fault}`;
  const parts = [`Flags [${flagText(tcp.flags)}]`];
  const length = end - at - tcp.headerBytes;
  parts.push(length > 0 ? `seq ${tcp.sequence}:${(tcp.sequence + length) >>> 0}` : `seq ${tcp.sequence}`);
  if ((tcp.flags & ACK) !== 0) parts.push(`ack ${tcp.acknowledgment}`);
  parts.push(`win ${tcp.window}`);
  if ((tcp.flags & URG) !== 0) parts.push(`urg ${tcp.urgent}`);
  const options = optionText(bytes, at + TCP_HEADER_BYTES, at + tcp.headerBytes);
  if (options !== '') parts.push(`options [${options}]`);
  parts.push(`length ${length}`);
  return `${source}.${tcp.sourcePort} > ${destination}.${tcp.destinationPort}: ${parts.join(', ')}`;
}

function flagText(flags: number): string {
  const letters: readonly (readonly [number, string])[] = [
    [FIN, 'F'],
    [SYN, 'S'],
    [RST, 'R'],
    [PSH, 'P'],
    [ACK, '.'],
    [URG, 'U'],
    [ECE, 'E'],
    [CWR, 'W'],
  ];
  const text = letters.map(([bit, letter]) => ((flags & bit) !== 0 ? letter : '')).join('');
  return text === '' ? 'none' : text;
}

function optionText(bytes: Uint8Array, at: number, end: number): string {
  const options = new TcpOptions();
  const fault = parseTcpOptions(bytes, at, end, options);
  const parts: string[] = [];
  if (options.mss > 0) parts.push(`mss ${options.mss}`);
  if (options.sackPermitted) parts.push('sackOK');
  if (options.windowScale >= 0) parts.push(`wscale ${options.windowScale}`);
  if (options.timestamps) parts.push(`TS val ${options.timestampValue} ecr ${options.timestampEcho}`);
  const blocks: string[] = [];
  for (let i = 0; i < options.sackCount; i++) blocks.push(`{${options.sackLeft[i]}:${options.sackRight[i]}}`);
  if (blocks.length > 0) parts.push(`sack ${blocks.join('')}`);
  if (fault !== undefined) parts.push(fault);
  return parts.join(',');
}

function describeUdp(
  bytes: Uint8Array,
  at: number,
  end: number,
  source: string,
  destination: string,
  fragment: boolean,
): string {
  const udp = new UdpHeader();
  const fault = parseUdp(bytes, at, end, udp);
  // Of a fragment only the first piece of the datagram is here.
  if (fault !== undefined) return `${source} > ${destination}: UDP ${fragment ? 'first fragment' : fault}`;
  const ends = `${source}.${udp.sourcePort} > ${destination}.${udp.destinationPort}:`;
  const payloadAt = at + UDP_HEADER_BYTES;
  const payloadEnd = at + udp.length;
  const ports = [udp.sourcePort, udp.destinationPort];
  const length = `length ${payloadEnd - payloadAt}`;
  if (ports.includes(DHCP_SERVER_PORT) || ports.includes(DHCP_CLIENT_PORT)) {
    return `${ends} DHCP ${describeDhcp(bytes, payloadAt, payloadEnd)}, ${length}`;
  }
  if (ports.includes(53)) return `${ends} DNS ${describeDns(bytes, payloadAt, payloadEnd)}, ${length}`;
  return `${ends} UDP, ${length}`;
}

function describeDhcp(bytes: Uint8Array, at: number, end: number): string {
  const message = new DhcpMessage();
  const fault = parseDhcp(bytes, at, end, message);
  if (fault !== undefined) return fault;
  const names = ['BOOTP', 'Discover', 'Offer', 'Request', 'Decline', 'ACK', 'NAK', 'Release', 'Inform'];
  const name = names[message.messageType] ?? `type ${message.messageType}`;
  const yours = message.yiaddr === 0 ? '' : ` ${formatIpv4Address(message.yiaddr)}`;
  return `${name}${yours} from ${formatMac(message.chaddr)}`;
}

function describeDns(bytes: Uint8Array, at: number, end: number): string {
  const question = new DnsQuestion();
  const fault = parseDnsQuestion(bytes, at, end, question);
  if (fault !== undefined) return fault;
  const about = `${question.id} ${dnsTypeName(question.type)} ${question.name}.`;
  return question.response ? `${about} ${dnsRcodeName(question.rcode)}, ${question.answerCount} answers` : `${about}?`;
}

function describeIcmp(bytes: Uint8Array, at: number, end: number): string {
  const icmp = new IcmpHeader();
  const fault = parseIcmp(bytes, at, end, icmp);
  if (fault !== undefined) return fault;
  const echo = `id ${icmp.identifier}, seq ${icmp.sequence}, length ${end - at}`;
  switch (icmp.type) {
    case ICMP_ECHO_REQUEST:
      return `echo request, ${echo}`;
    case ICMP_ECHO_REPLY:
      return `echo reply, ${echo}`;
    case ICMP_DESTINATION_UNREACHABLE:
      if (icmp.code === ICMP_FRAGMENTATION_NEEDED) return `fragmentation needed, mtu ${readU16(bytes, at + 6)}`;
      return `unreachable, code ${icmp.code}`;
    case ICMP_TIME_EXCEEDED:
      return `time exceeded, code ${icmp.code}`;
    default:
      return `type ${icmp.type}, code ${icmp.code}, length ${end - at}`;
  }
}

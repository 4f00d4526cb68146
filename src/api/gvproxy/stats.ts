type Counts = Readonly<Record<string, number>>;
type Nested = { readonly [name: string]: number | Nested };

/**
 * /stats: gvproxy's counters, nested as it nests them, as far as one of ours means the same. `BytesSent` and
 * `BytesReceived` are as the guests' links count them. `counters`: those of the network's status.
 */
export function statsOf(counters: Counts): Nested {
  const sum = (...names: string[]): number => names.reduce((total, name) => total + (counters[name] ?? 0), 0);
  const received = { Packets: sum('guest-frames-received'), Bytes: sum('guest-bytes-received') };
  const sent = { Packets: sum('guest-frames-sent'), Bytes: sum('guest-bytes-sent') };
  return {
    BytesSent: sent.Bytes,
    BytesReceived: received.Bytes,
    DroppedPackets: sum('switch-port-full', 'switch-runt', 'switch-frame-too-big', 'switch-bad-source-mac'),
    NICs: {
      MalformedL4RcvdPackets: sum('tcp-bad-checksum', 'udp-bad-checksum', 'icmp-bad-checksum'),
      Tx: sent,
      TxPacketsDroppedNoBufferSpace: sum('switch-port-full'),
      Rx: received,
    },
    ICMP: {
      V4: {
        PacketsSent: {
          ICMPv4PacketStats: { EchoReply: sum('icmp-echo-answered') },
          Dropped: sum('icmp-echo-reply-port-full', 'icmp-error-port-full'),
          RateLimited: sum('icmp-error-rate-limited'),
        },
        PacketsReceived: { Invalid: sum('icmp-bad-checksum') },
      },
    },
    IP: {
      PacketsReceived: received.Packets,
      ValidPacketsReceived: received.Packets,
      PacketsDelivered: received.Packets,
      PacketsSent: sent.Packets,
    },
    ARP: {
      OutgoingRepliesSent: sum('arp-answered'),
      RequestsReceived: sum('arp-answered', 'arp-not-for-us'),
      MalformedPacketsReceived: sum('arp-bad-operation', 'arp-bad-sender-mac'),
    },
    TCP: {
      PassiveConnectionOpenings: sum('tcp-dials'),
      ActiveConnectionOpenings: sum('forward-accepted'),
      CurrentEstablished: sum('tcp-flows'),
      CurrentConnected: sum('tcp-flows'),
      EstablishedResets: sum('tcp-reset-by-guest', 'tcp-reset-by-host'),
      EstablishedTimedout: sum('tcp-guest-gone'),
      FailedConnectionAttempts: sum(
        'tcp-dial-failed',
        'tcp-dial-no-descriptor',
        'tcp-unreachable',
        'tcp-refused',
        'tcp-refused-by-guest',
      ),
      ResetsReceived: sum('tcp-reset-by-guest'),
      ResetsSent: sum('tcp-refused', 'tcp-reset-by-host'),
      Retransmits: sum('tcp-retransmitted'),
      FastRetransmit: sum('tcp-fast-retransmit'),
      Timeouts: sum('tcp-retransmission-timeout'),
      ChecksumErrors: sum('tcp-bad-checksum'),
      ForwardMaxInFlightDrop: sum('tcp-dial-limit', 'tcp-dial-limit-of-guest', 'tcp-dial-evicted'),
    },
    UDP: {
      ReceiveBufferErrors: sum('udp-host-full'),
      PacketSendErrors: sum('udp-outlet-full'),
      ChecksumErrors: sum('udp-bad-checksum'),
    },
  };
}

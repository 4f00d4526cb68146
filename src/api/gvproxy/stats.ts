/**
 * /stats: gvproxy's counters are gVisor's, nested as its structs are. Here they are ours where one of ours means the same, else 0; what a
 * consumer looks for is there. `BytesSent` and `BytesReceived` are as the guests' links count them.
 */
type Counts = Readonly<Record<string, number>>;
type Nested = { readonly [name: string]: number | Nested };

const ICMP_V4 =
  'EchoRequest EchoReply DstUnreachable SrcQuench Redirect TimeExceeded ParamProblem Timestamp TimestampReply InfoRequest InfoReply';
const ICMP_V6 =
  'EchoRequest EchoReply DstUnreachable PacketTooBig TimeExceeded ParamProblem RouterSolicit RouterAdvert NeighborSolicit NeighborAdvert RedirectMsg ' +
  'MulticastListenerQuery MulticastListenerReport MulticastListenerDone MulticastListenerReportV2';
const IGMP = 'MembershipQuery V1MembershipReport V2MembershipReport V3MembershipReport LeaveGroup';
const IP =
  'PacketsReceived ValidPacketsReceived DisabledPacketsReceived InvalidDestinationAddressesReceived InvalidSourceAddressesReceived PacketsDelivered PacketsSent ' +
  'OutgoingPacketErrors MalformedPacketsReceived MalformedFragmentsReceived IPTablesPreroutingDropped IPTablesInputDropped IPTablesForwardDropped ' +
  'IPTablesOutputDropped IPTablesPostroutingDropped OptionTimestampReceived OptionRecordRouteReceived OptionRouterAlertReceived OptionUnknownReceived';
const IP_FORWARDING =
  'Unrouteable ExhaustedTTL InitializingSource LinkLocalSource LinkLocalDestination PacketTooBig HostUnreachable ExtensionHeaderProblem ' +
  'UnexpectedMulticastInputInterface UnknownOutputEndpoint NoMulticastPendingQueueBufferSpace OutgoingDeviceNoBufferSpace Errors OutgoingDeviceClosedForSend';
const ARP =
  'PacketsReceived DisabledPacketsReceived MalformedPacketsReceived RequestsReceived RequestsReceivedUnknownTargetAddress OutgoingRequestInterfaceHasNoLocalAddressErrors ' +
  'OutgoingRequestBadLocalAddressErrors OutgoingRequestsDropped OutgoingRequestsSent RepliesReceived OutgoingRepliesDropped OutgoingRepliesSent';
const TCP =
  'ActiveConnectionOpenings PassiveConnectionOpenings CurrentEstablished CurrentConnected EstablishedResets EstablishedClosed EstablishedTimedout ' +
  'ListenOverflowSynDrop ListenOverflowAckDrop ListenOverflowSynCookieSent ListenOverflowSynCookieRcvd ListenOverflowInvalidSynCookieRcvd FailedConnectionAttempts ' +
  'ValidSegmentsReceived InvalidSegmentsReceived SegmentsSent SegmentSendErrors ResetsSent ResetsReceived Retransmits FastRecovery SACKRecovery TLPRecovery ' +
  'SlowStartRetransmits FastRetransmit Timeouts ChecksumErrors FailedPortReservations SegmentsAckedWithDSACK SpuriousRecovery SpuriousRTORecovery ForwardMaxInFlightDrop';
const UDP =
  'PacketsReceived UnknownPortErrors ReceiveBufferErrors MalformedPacketsReceived PacketsSent PacketSendErrors ChecksumErrors';
const NEIGHBOR =
  'UnreachableEntryLookups DroppedConfirmationForNoninitiatedNeighbor DroppedInvalidLinkAddressConfirmations';

/** The whole object. `counters`: those of the network's status. */
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
      DisabledRx: { Packets: 0, Bytes: 0 },
      Neighbor: zeros(NEIGHBOR),
    },
    ICMP: icmp(sum),
    IGMP: {
      PacketsSent: { ...zeros(IGMP), Dropped: 0 },
      PacketsReceived: { ...zeros(IGMP), Invalid: 0, ChecksumErrors: 0, Unrecognized: 0 },
    },
    IP: {
      ...zeros(IP),
      PacketsReceived: received.Packets,
      ValidPacketsReceived: received.Packets,
      PacketsDelivered: received.Packets,
      PacketsSent: sent.Packets,
      Forwarding: zeros(IP_FORWARDING),
    },
    ARP: {
      ...zeros(ARP),
      OutgoingRepliesSent: sum('arp-answered'),
      RequestsReceived: sum('arp-answered', 'arp-not-for-us'),
      MalformedPacketsReceived: sum('arp-bad-operation', 'arp-bad-sender-mac'),
    },
    TCP: tcp(sum),
    UDP: {
      ...zeros(UDP),
      ReceiveBufferErrors: sum('udp-host-full'),
      PacketSendErrors: sum('udp-outlet-full'),
      ChecksumErrors: sum('udp-bad-checksum'),
    },
  };
}

function icmp(sum: (...names: string[]) => number): Nested {
  const none = { ...zeros(ICMP_V6), Dropped: 0, RateLimited: 0 };
  return {
    V4: {
      PacketsSent: {
        ICMPv4PacketStats: { ...zeros(ICMP_V4), EchoReply: sum('icmp-echo-answered') },
        Dropped: sum('icmp-echo-reply-port-full', 'icmp-error-port-full'),
        RateLimited: sum('icmp-error-rate-limited'),
      },
      PacketsReceived: { ICMPv4PacketStats: zeros(ICMP_V4), Invalid: sum('icmp-bad-checksum') },
    },
    V6: {
      PacketsSent: none,
      PacketsReceived: { ...zeros(ICMP_V6), Unrecognized: 0, Invalid: 0, RouterOnlyPacketsDroppedByHost: 0 },
    },
  };
}

function tcp(sum: (...names: string[]) => number): Nested {
  return {
    ...zeros(TCP),
    PassiveConnectionOpenings: sum('tcp-dials'),
    ActiveConnectionOpenings: sum('forward-accepted'),
    CurrentEstablished: sum('tcp-flows'),
    CurrentConnected: sum('tcp-flows'),
    EstablishedResets: sum('tcp-reset-by-guest', 'tcp-reset-by-host'),
    EstablishedTimedout: sum('tcp-unreachable'),
    FailedConnectionAttempts: sum('tcp-dial-failed', 'tcp-refused-by-guest'),
    ResetsReceived: sum('tcp-reset-by-guest'),
    ResetsSent: sum('tcp-refused', 'tcp-reset-by-host'),
    Retransmits: sum('tcp-retransmitted'),
    FastRetransmit: sum('tcp-fast-retransmit'),
    Timeouts: sum('tcp-retransmission-timeout'),
    ChecksumErrors: sum('tcp-bad-checksum'),
    ForwardMaxInFlightDrop: sum('tcp-dial-limit', 'tcp-dial-limit-of-guest'),
  };
}

function zeros(names: string): Record<string, number> {
  return Object.fromEntries(names.split(' ').map((name) => [name, 0]));
}

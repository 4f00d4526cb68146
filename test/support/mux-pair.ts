import type { ChannelEnd, ChannelUser, MuxChannel } from '../../src/bridge/channel.ts';
import { Mux, type MuxEnd, type MuxOptions, type MuxSecret } from '../../src/bridge/mux.ts';
import type { MuxDestination } from '../../src/wire/mux-frame.ts';

/** One end of a multiplexer in memory, with all that its owner heard. */
export class MuxSide {
  readonly mux: Mux;
  readonly outgoing: Uint8Array[] = [];
  queuedBytes = 0;
  readonly accepted: Stream[] = [];
  ready: boolean | undefined;
  end: MuxEnd | undefined;
  wireClosed = false;
  /** What the carrier holds back: `queuedBytes` then stays as it is. */
  stalled = false;
  /** Whether a channel that the peer opens is used at once. */
  accepts = true;

  constructor(options: Partial<MuxOptions> & Pick<MuxOptions, 'side'>) {
    const all = {
      nonce: new Uint8Array(32).fill(7),
      secret: undefined,
      maxChannels: 64,
      windowBytes: 65_536,
      ...options,
    };
    const side = this;
    this.mux = new Mux(
      all,
      {
        send: (bytes) => {
          this.outgoing.push(bytes);
          this.queuedBytes += bytes.length;
        },
        get queuedBytes() {
          return side.queuedBytes;
        },
        close: () => {
          this.wireClosed = true;
        },
      },
      {
        ready: ({ extended }) => {
          this.ready = extended;
        },
        opened: (channel) => {
          const stream = new Stream(channel);
          this.accepted.push(stream);
          if (this.accepts) stream.use();
        },
        ended: (end) => {
          this.end = end;
        },
      },
      0,
    );
  }

  /** What it has sent, which has then left. */
  take(): Uint8Array[] {
    this.queuedBytes = 0;
    return this.outgoing.splice(0);
  }

  open(destination: MuxDestination = WEB): Stream {
    const channel = this.mux.open(destination);
    if (channel === undefined) throw new Error('the multiplexer opens no channel');
    const stream = new Stream(channel);
    stream.use();
    return stream;
  }
}

export const WEB: MuxDestination = { protocol: 'tcp', address: Uint8Array.of(172, 17, 0, 2), port: 80 };

/** A channel, and what its user heard. */
export class Stream implements ChannelUser {
  readonly channel: MuxChannel;
  readonly pieces: Uint8Array[] = [];
  ended = false;
  closedBy: ChannelEnd | undefined;
  wakes = 0;
  /** Whether what comes is consumed at once. */
  reads = true;

  constructor(channel: MuxChannel) {
    this.channel = channel;
  }

  use(): void {
    this.channel.use(this);
  }

  get bytes(): Buffer {
    return Buffer.concat(this.pieces);
  }

  data(bytes: Uint8Array): void {
    this.pieces.push(bytes);
    if (this.reads) this.channel.consumed(bytes.length);
  }

  end(): void {
    this.ended = true;
  }

  writable(): void {
    this.wakes++;
  }

  closed(end: ChannelEnd): void {
    this.closedBy = end;
  }
}

/** Two ends that are joined: `settle` carries octets until neither has more. */
export class MuxPair {
  readonly host: MuxSide;
  readonly guest: MuxSide;
  nowMs = 0;

  constructor(options: { host?: Partial<MuxOptions>; guest?: Partial<MuxOptions> } = {}) {
    this.host = new MuxSide({ side: 'connected', ...options.host });
    this.guest = new MuxSide({ side: 'accepted', ...options.guest });
  }

  /** Carries what waits, in pieces of `pieceBytes`; what a stalled end has sent stays where it is. */
  settle(pieceBytes = Number.POSITIVE_INFINITY): this {
    for (let moved = true; moved; ) {
      const toGuest = this.#carry(this.host, this.guest, pieceBytes);
      const toHost = this.#carry(this.guest, this.host, pieceBytes);
      moved = toGuest || toHost;
    }
    return this;
  }

  #carry(from: MuxSide, to: MuxSide, pieceBytes: number): boolean {
    if (from.stalled || from.outgoing.length === 0) return false;
    const bytes = Buffer.concat(from.take());
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      to.mux.receive(bytes.subarray(at, Math.min(at + pieceBytes, bytes.length)), this.nowMs);
    }
    from.mux.resume();
    return true;
  }

  /** Time passes at both ends, and what they send then arrives. */
  pass(ms: number): void {
    for (const end = this.nowMs + ms; this.nowMs < end; ) {
      this.nowMs = Math.min(this.nowMs + 1000, end);
      this.host.mux.tick(this.nowMs);
      this.guest.mux.tick(this.nowMs);
      this.settle();
    }
  }
}

/** A secret for tests: a proof is the secret's octet, then the octets of both nonces added up. */
export function testSecret(octet: number, own: number): MuxSecret {
  const proof = (side: number, a: Uint8Array, b: Uint8Array): Uint8Array =>
    Uint8Array.from({ length: 32 }, (_, i) => octet + side + a[i]! + 3 * b[i]!);
  return {
    prove: (ownNonce, peerNonce) => proof(own, ownNonce, peerNonce),
    isProof: (given, ownNonce, peerNonce) => Buffer.compare(given, proof(1 - own, peerNonce, ownNonce)) === 0,
  };
}

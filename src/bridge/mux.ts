import {
  MUX_CLOSE,
  MUX_DATA,
  MUX_MAX_HEADER_BYTES,
  MUX_OPEN,
  MUX_PING,
  MUX_PONG,
  MUX_PROOF,
  MUX_REASON,
  MUX_SHUTDOWN,
  MUX_WINDOW,
  type MuxDestination,
  type MuxFault,
  type MuxFrame,
  type MuxReason,
  muxBare,
  muxData,
  muxHeaderBytes,
  muxOpen,
  muxProof,
  muxReason,
  muxWindow,
  parseMuxFrame,
} from '../wire/mux-frame.ts';
import { muxGreeting, parseMuxGreeting } from '../wire/mux-greeting.ts';
import { type ChannelLines, MuxChannel } from './channel.ts';

/** The carrier, as the multiplexer sees it: a stream of octets, in order, reliable. */
export interface MuxWire {
  /** Queues `bytes`, which are the wire's own from now on. */
  send(bytes: Uint8Array): void;
  /** What was queued and has not left yet, in octets. */
  readonly queuedBytes: number;
  /** Breaks the carrier off. */
  close(): void;
}

export type MuxEnd =
  | { readonly how: 'stopped' | 'carrier-closed' | 'peer-silent' | 'peer-does-not-read' | 'not-authenticated' }
  | { readonly how: 'protocol'; readonly fault: MuxFault | 'mux-bad-greeting' | 'mux-too-many-channels' };

export interface MuxOwner {
  /** Greetings (and proofs, where a secret is set) are exchanged: channels may be opened. */
  ready(peer: { readonly extended: boolean }): void;
  /** The peer opened a channel: use it or abort it, before returning or later. */
  opened(channel: MuxChannel): void;
  /** The last call: every channel has heard that it is lost. */
  ended(end: MuxEnd): void;
}

/** Makes and checks the proof that both ends know one secret. The nonces are those of the greetings. */
export interface MuxSecret {
  prove(ownNonce: Uint8Array, peerNonce: Uint8Array): Uint8Array;
  isProof(proof: Uint8Array, ownNonce: Uint8Array, peerNonce: Uint8Array): boolean;
}

export interface MuxOptions {
  /** Who waited for the carrier counts its channels up from 0, who connected it counts down from the last. */
  readonly side: 'accepted' | 'connected';
  /** 32 octets that are new for this carrier. */
  readonly nonce: Uint8Array;
  /** Without one anybody who reaches the carrier may use it. */
  readonly secret: MuxSecret | undefined;
  /** How many channels may be open at a time, of both ends together. */
  readonly maxChannels: number;
  /** Room for what a channel has received and its user has not consumed. */
  readonly windowBytes: number;
}

/** What the multiplexer lets wait in the carrier: little, so that a channel that has just come need not wait long. */
const CARRIER_BYTES = 256 * 1024;
/** What one channel sends before the next one's turn. */
const QUANTUM_BYTES = 32 * 1024;
/** Beyond `CARRIER_BYTES` there are only answers to the peer's own frames: it sends without reading. */
const UNREAD_BYTES = 4 * 1024 * 1024;
/** A peer that was silent as long is asked for a sign, and given up after as long again. */
const SILENCE_MS = 10_000;

/**
 * Many streams over one, as vpnkit's libproxy does it, in both roles. Deterministic: octets, time and the carrier come
 * in through its methods. Bounds: `maxChannels`, a window for each, `CARRIER_BYTES` on their way out.
 *
 * Stricter than vpnkit where a peer could harm: windows are enforced, and an Open of a live id ends that channel
 * instead of replacing it. More tolerant where nothing is lost: a late Close, or a frame for a channel that is gone, is
 * counted and dropped.
 */
export class Mux {
  readonly #options: MuxOptions;
  readonly #wire: MuxWire;
  readonly #owner: MuxOwner;
  readonly #channels = new Map<number, MuxChannel>();
  readonly #lines: ChannelLines;
  /** Those that have something to send, each once; the first is served next. */
  #turn: MuxChannel[] = [];
  #inTurn = new Set<MuxChannel>();
  #serving = false;
  #nextId: number;

  #stage: 'greeting' | 'proof' | 'open' | 'ended' = 'greeting';
  #peerNonce: Uint8Array | undefined;
  /** What has come of a greeting or a header that is not complete. */
  readonly #head = new Uint8Array(2 * MUX_MAX_HEADER_BYTES);
  #headFilled = 0;
  #payloadLeft = 0;
  #payloadChannel: MuxChannel | undefined;

  #heardMs: number;
  #askedMs: number | undefined;
  /** Frames for channels that are gone. */
  strayFrames = 0;

  /** Greets the peer at once. */
  constructor(options: MuxOptions, wire: MuxWire, owner: MuxOwner, nowMs: number) {
    this.#options = options;
    this.#wire = wire;
    this.#owner = owner;
    this.#nextId = options.side === 'accepted' ? 0 : 0xffff_ffff;
    this.#heardMs = nowMs;
    this.#lines = {
      sendWindow: (channel, end) => this.#send(muxWindow(channel.id, end)),
      schedule: (channel) => this.#schedule(channel),
      sendClose: (channel, reason, text) => this.#sendClose(channel, reason, text),
      release: (channel) => this.#release(channel),
    };
    wire.send(muxGreeting(options.nonce));
  }

  /** The channels that are open, or whose Close has not been answered. */
  get channels(): number {
    return this.#channels.size;
  }

  /** Opens a channel; undefined before `ready`, after the end, and while there are as many as there may be. */
  open(destination: MuxDestination): MuxChannel | undefined {
    if (this.#stage !== 'open' || this.#channels.size >= this.#options.maxChannels) return undefined;
    const channel = new MuxChannel(this.#freeId(), destination, this.#options.windowBytes, this.#lines);
    this.#channels.set(channel.id, channel);
    this.#send(muxOpen(channel.id, destination));
    return channel;
  }

  /** Octets of the carrier; slices of them are handed to the channels' users, so they must not be written to later. */
  receive(bytes: Uint8Array, nowMs: number): void {
    this.#heardMs = nowMs;
    this.#askedMs = undefined;
    let at = 0;
    while (at < bytes.length && this.#stage !== 'ended') {
      if (this.#payloadLeft > 0) at = this.#receivePayload(bytes, at);
      else at = this.#receiveHead(bytes, at);
      if (this.#wire.queuedBytes > UNREAD_BYTES) this.#end({ how: 'peer-does-not-read' });
    }
    this.#serve();
  }

  /** The carrier has room again. */
  resume(): void {
    this.#serve();
  }

  /** To be called once a second or so: asks a peer that is silent for a sign, and gives up one that gives none. */
  tick(nowMs: number): void {
    if (this.#stage === 'ended') return;
    const silentMs = nowMs - this.#heardMs;
    if (this.#stage !== 'open') {
      if (silentMs >= SILENCE_MS) this.#end({ how: 'peer-silent' });
      return;
    }
    if (this.#peerNonce === undefined) return;
    if (this.#askedMs === undefined) {
      if (silentMs < SILENCE_MS) return;
      this.#askedMs = nowMs;
      this.#send(muxBare(MUX_PING, 0));
    } else if (nowMs - this.#askedMs >= SILENCE_MS) this.#end({ how: 'peer-silent' });
  }

  /** The carrier is closed by its other end. */
  carrierClosed(): void {
    this.#end({ how: 'carrier-closed' });
  }

  stop(): void {
    this.#end({ how: 'stopped' });
  }

  /** Returns where to go on. */
  #receivePayload(bytes: Uint8Array, at: number): number {
    const length = Math.min(this.#payloadLeft, bytes.length - at);
    this.#payloadLeft -= length;
    this.#payloadChannel?.heardData(bytes.subarray(at, at + length));
    if (this.#payloadLeft === 0) this.#payloadChannel = undefined;
    return at + length;
  }

  /** Collects the greeting or a header, and acts on it once it is complete. Returns where to go on. */
  #receiveHead(bytes: Uint8Array, at: number): number {
    const before = this.#headFilled;
    const length = Math.min(this.#head.length - before, bytes.length - at);
    this.#head.set(bytes.subarray(at, at + length), before);
    this.#headFilled += length;
    const used = this.#stage === 'greeting' ? this.#readGreeting() : this.#readFrame();
    if (used === undefined) return at + length;
    this.#headFilled = 0;
    return at + used - before;
  }

  #readGreeting(): number | undefined {
    const greeting = parseMuxGreeting(this.#head, 0, this.#headFilled);
    if (greeting === undefined) return undefined;
    if (greeting === 'mux-bad-greeting') {
      this.#end({ how: 'protocol', fault: greeting });
      return undefined;
    }
    const { nonce: peerNonce } = greeting;
    const { secret, nonce } = this.#options;
    this.#peerNonce = peerNonce;
    if (secret !== undefined) {
      if (peerNonce === undefined) {
        this.#end({ how: 'not-authenticated' });
        return undefined;
      }
      this.#send(muxProof(secret.prove(nonce, peerNonce)));
      this.#stage = 'proof';
    } else this.#begin();
    return greeting.bytes;
  }

  #begin(): void {
    this.#stage = 'open';
    this.#owner.ready({ extended: this.#peerNonce !== undefined });
  }

  #readFrame(): number | undefined {
    const length = muxHeaderBytes(this.#head, 0, this.#headFilled);
    if (length === undefined || (typeof length === 'number' && this.#headFilled < length)) return undefined;
    const frame = typeof length === 'number' ? parseMuxFrame(this.#head, 0, length) : length;
    if (typeof frame === 'string') {
      this.#end({ how: 'protocol', fault: frame });
      return undefined;
    }
    if (this.#stage === 'proof') this.#checkProof(frame);
    else this.#act(frame);
    return length as number;
  }

  #checkProof(frame: MuxFrame): void {
    const { secret, nonce } = this.#options;
    const proven = frame.command === MUX_PROOF && secret?.isProof(frame.proof, nonce, this.#peerNonce!) === true;
    if (proven) this.#begin();
    else this.#end({ how: 'not-authenticated' });
  }

  #act(frame: MuxFrame): void {
    if (frame.command === MUX_OPEN) {
      this.#accept(frame.channel, frame.destination);
      return;
    }
    if (frame.command === MUX_PING) this.#send(muxBare(MUX_PONG, frame.channel));
    if (frame.command === MUX_PING || frame.command === MUX_PONG || frame.command === MUX_PROOF) return;
    const channel = this.#channels.get(frame.channel);
    if (channel === undefined) this.strayFrames++;
    switch (frame.command) {
      case MUX_DATA:
        this.#payloadLeft = frame.payloadBytes;
        this.#payloadChannel = channel;
        break;
      case MUX_WINDOW:
        channel?.heardWindow(frame.end);
        break;
      case MUX_SHUTDOWN:
        channel?.heardShutdown();
        break;
      case MUX_REASON:
        channel?.heardReason(frame.reason, frame.text);
        break;
      case MUX_CLOSE:
        channel?.heardClose();
        break;
    }
  }

  #accept(id: number, destination: MuxDestination): void {
    const live = this.#channels.get(id);
    if (live !== undefined) {
      live.breakOff('was opened while it was open');
      return;
    }
    // Those that are refused wait for the peer's Close, so they count; a peer that sends none meets the second bound.
    if (this.#channels.size >= 2 * this.#options.maxChannels) {
      this.#end({ how: 'protocol', fault: 'mux-too-many-channels' });
      return;
    }
    const channel = new MuxChannel(id, destination, this.#options.windowBytes, this.#lines);
    const full = this.#channels.size >= this.#options.maxChannels;
    this.#channels.set(id, channel);
    if (full) channel.abort('too-many', `${this.#options.maxChannels} channels are open`);
    else this.#owner.opened(channel);
  }

  #sendClose(channel: MuxChannel, reason: MuxReason | undefined, text: string): void {
    if (reason !== undefined && this.#peerNonce !== undefined) this.#send(muxReason(channel.id, reason, text));
    this.#send(muxBare(MUX_CLOSE, channel.id));
  }

  #release(channel: MuxChannel): void {
    this.#channels.delete(channel.id);
  }

  #freeId(): number {
    const step = this.#options.side === 'accepted' ? 1 : -1;
    let id = this.#nextId;
    while (this.#channels.has(id)) id = (id + step) >>> 0;
    this.#nextId = (id + step) >>> 0;
    return id;
  }

  #send(bytes: Uint8Array): void {
    if (this.#stage !== 'ended') this.#wire.send(bytes);
  }

  #schedule(channel: MuxChannel): void {
    if (!channel.sendable || this.#inTurn.has(channel)) return;
    this.#inTurn.add(channel);
    this.#turn.push(channel);
    this.#serve();
  }

  /** Sends a quantum of each channel in turn, for as long as the carrier takes it. */
  #serve(): void {
    if (this.#serving) return;
    this.#serving = true;
    while (this.#turn.length > 0 && this.#wire.queuedBytes < CARRIER_BYTES && this.#stage === 'open') {
      const channel = this.#turn.shift()!;
      this.#inTurn.delete(channel);
      this.#serveOne(channel);
      this.#schedule(channel);
    }
    this.#serving = false;
  }

  #serveOne(channel: MuxChannel): void {
    for (let left = QUANTUM_BYTES; left > 0; ) {
      const bytes = channel.take(left);
      if (bytes === undefined) break;
      this.#wire.send(muxData(channel.id, bytes.length));
      this.#wire.send(bytes);
      left -= bytes.length;
    }
    if (channel.takeShutdown()) this.#wire.send(muxBare(MUX_SHUTDOWN, channel.id));
    channel.afterSending();
  }

  #end(end: MuxEnd): void {
    if (this.#stage === 'ended') return;
    this.#stage = 'ended';
    this.#turn = [];
    this.#inTurn.clear();
    const channels = [...this.#channels.values()];
    this.#channels.clear();
    for (const channel of channels) channel.lose();
    this.#wire.close();
    this.#owner.ended(end);
  }
}

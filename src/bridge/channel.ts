import type { MuxDestination, MuxReason } from '../wire/mux-frame.ts';

/** How a channel came to its end. */
export type ChannelEnd =
  /** Each side said that it sends no more, and all of it was delivered. */
  | { readonly how: 'finished' }
  /** By the peer, before that; `reason` where the peer knows how to say it. */
  | { readonly how: 'closed-by-peer'; readonly reason: MuxReason | undefined; readonly text: string }
  /** The peer sent more than its window, or opened the channel twice. */
  | { readonly how: 'peer-broke-the-rules'; readonly text: string }
  /** The carrier broke, or the multiplexer was stopped. */
  | { readonly how: 'lost' };

/** What the user of a channel hears. Called synchronously; none may throw. */
export interface ChannelUser {
  /** Octets from the peer, the user's own from now on; `channel.consumed` gives their room back. */
  data(bytes: Uint8Array): void;
  /** The peer sends no more. */
  end(): void;
  /** There is room again, after `write` returned false. */
  writable(): void;
  /** The last call. */
  closed(end: ChannelEnd): void;
}

/** What a channel needs of its multiplexer. */
export interface ChannelLines {
  sendWindow(channel: MuxChannel, end: number): void;
  /** Something of the channel's waits to be sent. */
  schedule(channel: MuxChannel): void;
  sendClose(channel: MuxChannel, reason: MuxReason | undefined, text: string): void;
  /** Both ends have sent their Close: the id may be used again. */
  release(channel: MuxChannel): void;
}

/** `write` returns false from here on: one channel waits with no more than this, however fast its source is. */
const WRITE_QUEUE_BYTES = 128 * 1024;

/**
 * One stream of the multiplexer, with a window each way: octets are counted from 0 at the Open, and each end may send
 * up to the number that the other's last Window named. A Shutdown ends one direction, a Close both; the id lives until
 * each end has sent its Close. Both are sent by themselves as soon as both directions have ended.
 */
export class MuxChannel {
  readonly id: number;
  readonly destination: MuxDestination;
  readonly #lines: ChannelLines;
  readonly #windowBytes: number;
  #user: ChannelUser | undefined;

  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #userWaits = false;
  #sent = 0;
  #sendLimit = 0;
  #shutdownAsked = false;
  #shutdownSent = false;
  #closeSent = false;

  #received = 0;
  #consumed = 0;
  #granted = 0;
  #shutdownReceived = false;
  #closeReceived = false;
  #reason: MuxReason | undefined;
  #reasonText = '';

  constructor(id: number, destination: MuxDestination, windowBytes: number, lines: ChannelLines) {
    this.id = id;
    this.destination = destination;
    this.#windowBytes = windowBytes;
    this.#lines = lines;
  }

  /** Begins to receive. Called once, by who opened the channel or accepted it. */
  use(user: ChannelUser): void {
    this.#user = user;
    this.#grant();
  }

  /**
   * Sends `bytes`, which belong to the channel from now on. Returns false when enough waits: go on after `writable`.
   * Does nothing after `shutdown` or the end.
   */
  write(bytes: Uint8Array): boolean {
    if (this.#shutdownAsked || this.#closeSent || bytes.length === 0) return true;
    this.#queue.push(bytes);
    this.#queuedBytes += bytes.length;
    this.#lines.schedule(this);
    this.#userWaits = this.#queuedBytes >= WRITE_QUEUE_BYTES;
    return !this.#userWaits;
  }

  /** Says that no more will be written, once what was written is sent. */
  shutdown(): void {
    if (this.#shutdownAsked || this.#closeSent) return;
    this.#shutdownAsked = true;
    this.#lines.schedule(this);
  }

  /** `bytes` octets of what `data` brought have been passed on: the peer may send as many more. */
  consumed(bytes: number): void {
    this.#consumed += bytes;
    if (this.#granted - this.#received < this.#windowBytes / 2) this.#grant();
  }

  /**
   * Ends the channel at once in both directions; what waits is thrown away. A peer that knows Reasons hears this one.
   */
  abort(reason: MuxReason, text = ''): void {
    if (this.#closeSent) return;
    this.#close(reason, text, undefined);
  }

  /** Octets that wait for the window, or for the carrier. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  // What follows is the multiplexer's.

  /** Whether something can be sent now: octets that the window admits, or the Shutdown behind the last of them. */
  get sendable(): boolean {
    if (this.#closeSent) return false;
    return this.#queuedBytes > 0 ? this.#sent < this.#sendLimit : this.#shutdownAsked && !this.#shutdownSent;
  }

  /** Takes up to `most` octets that the window admits from the queue; a piece of what was written, or all of it. */
  take(most: number): Uint8Array | undefined {
    const first = this.#queue[0];
    const bytes = Math.min(first?.length ?? 0, most, this.#sendLimit - this.#sent);
    if (first === undefined || bytes <= 0) return undefined;
    if (bytes === first.length) this.#queue.shift();
    else this.#queue[0] = first.subarray(bytes);
    this.#sent += bytes;
    this.#queuedBytes -= bytes;
    return bytes === first.length ? first : first.subarray(0, bytes);
  }

  /** True once, when the Shutdown is due. */
  takeShutdown(): boolean {
    if (!this.#shutdownAsked || this.#shutdownSent || this.#queuedBytes > 0) return false;
    this.#shutdownSent = true;
    return true;
  }

  /** To be called after what `take` and `takeShutdown` gave has been sent. */
  afterSending(): void {
    this.#finishIfDone();
    if (!this.#userWaits || this.#queuedBytes >= WRITE_QUEUE_BYTES / 2) return;
    this.#userWaits = false;
    this.#user?.writable();
  }

  heardWindow(end: number): void {
    if (end > this.#sendLimit) this.#sendLimit = end;
    if (this.sendable) this.#lines.schedule(this);
  }

  heardData(bytes: Uint8Array): void {
    if (this.#closeSent || this.#shutdownReceived) return;
    if (this.#received + bytes.length > this.#granted) {
      this.breakOff(`sent ${this.#received + bytes.length - this.#granted} octets more than its window`);
      return;
    }
    this.#received += bytes.length;
    this.#user?.data(bytes);
  }

  heardShutdown(): void {
    if (this.#shutdownReceived) return;
    this.#shutdownReceived = true;
    if (this.#closeSent) return;
    this.#user?.end();
    this.#finishIfDone();
  }

  heardReason(reason: MuxReason, text: string): void {
    this.#reason = reason;
    this.#reasonText = text;
  }

  heardClose(): void {
    if (this.#closeReceived) return;
    this.#closeReceived = true;
    if (this.#closeSent) {
      this.#lines.release(this);
      return;
    }
    const finished = this.#shutdownReceived && this.#shutdownSent && this.#reason === undefined;
    this.#close(
      undefined,
      '',
      finished ? { how: 'finished' } : { how: 'closed-by-peer', reason: this.#reason, text: this.#reasonText },
    );
  }

  /** The peer broke a rule: this channel ends, the others do not. */
  breakOff(text: string): void {
    if (!this.#closeSent) this.#close('failed', text, { how: 'peer-broke-the-rules', text });
  }

  /** The carrier is gone. */
  lose(): void {
    if (this.#closeSent) return;
    this.#closeSent = true;
    this.#drop();
    this.#user?.closed({ how: 'lost' });
  }

  #finishIfDone(): void {
    if (this.#shutdownSent && this.#shutdownReceived && !this.#closeSent) {
      this.#close(undefined, '', { how: 'finished' });
    }
  }

  /** `end` is undefined when the user itself ends the channel: it hears nothing more then. */
  #close(reason: MuxReason | undefined, text: string, end: ChannelEnd | undefined): void {
    this.#closeSent = true;
    this.#drop();
    this.#lines.sendClose(this, reason, text);
    if (this.#closeReceived) this.#lines.release(this);
    if (end !== undefined) this.#user?.closed(end);
  }

  #drop(): void {
    this.#queue = [];
    this.#queuedBytes = 0;
  }

  #grant(): void {
    const end = this.#consumed + this.#windowBytes;
    if (this.#closeSent || this.#shutdownReceived || end <= this.#granted) return;
    this.#granted = end;
    this.#lines.sendWindow(this, end);
  }
}

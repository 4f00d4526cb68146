import type { HostPipe, HostPipeHandler } from '../env/host.ts';
import type { Port } from '../link/port.ts';
import type { Work } from '../turn/ready-queue.ts';
import { ETHERNET_HEADER_BYTES } from '../wire/ethernet.ts';
import type { AttachmentOptions, AttachmentRegion, AttachmentSpace } from './attachment-space.ts';
import { Outbox } from './outbox.ts';
import { type Framing, PipeOutlet } from './pipe-outlet.ts';

/** Total Length has 16 bits (RFC 791 §3.1). */
const MAX_PACKET_BYTES = 65_535;

/**
 * The life of a guest that is attached by a HostPipe, whatever its framing: made → started (`start`) → detached, for
 * good; its region then serves the next guest.
 */
export abstract class PipeAttachment implements HostPipeHandler {
  readonly name: string;
  /** The port's outlet. */
  readonly outlet: PipeOutlet;
  protected readonly space: AttachmentSpace;
  protected readonly region: AttachmentRegion;
  /** Both are there from `start` to `detach`. */
  protected pipe: HostPipe | undefined;
  protected port: Port | undefined;
  /** In the ingress queue whenever the pipe may have something. */
  protected readonly reader: Work = { queued: false, work: () => this.read() };
  readonly #onDetach: (reason: string) => void;
  #state: 'made' | 'started' | 'detached' = 'made';

  protected constructor(
    space: AttachmentSpace,
    region: AttachmentRegion,
    options: AttachmentOptions,
    framing: Framing,
  ) {
    const { mtu, offloads } = options;
    this.name = options.name;
    this.space = space;
    this.region = region;
    this.#onDetach = options.onDetach;
    this.outlet = new PipeOutlet({
      turn: space.turn,
      outbox: new Outbox(space.arena.bytes, region.outboxAt, region.outboxBytes, framing.prefixBytes),
      framing,
      mtu,
      abilities: {
        ...offloads,
        maxFrameBytes: (offloads.tcpSegmentation ? MAX_PACKET_BYTES : mtu) + ETHERNET_HEADER_BYTES,
      },
      onFailed: () => this.end(this.pipe?.error ?? 'EIO'),
    });
  }

  /** Frames flow from now on, between `pipe` and `port`; the first read happens in the next turn. */
  start(pipe: HostPipe, port: Port): void {
    if (this.#state !== 'made') return;
    this.#state = 'started';
    this.pipe = pipe;
    this.port = port;
    this.outlet.open(pipe, port);
    this.space.turn.ingress.add(this.reader);
  }

  readable(): void {
    if (this.started) this.space.turn.ingress.add(this.reader);
  }

  writable(): void {
    this.outlet.writable();
  }

  /** Closes the pipe and gives the memory back. Idempotent; `onDetach` is not called. */
  detach(): void {
    if (this.#state === 'detached') return;
    this.#state = 'detached';
    this.outlet.close();
    this.pipe?.close();
    this.pipe = undefined;
    this.port = undefined;
    this.space.giveRegion(this.region);
  }

  protected get started(): boolean {
    return this.#state === 'started';
  }

  /** Detaches and says why. */
  protected end(reason: string): void {
    if (this.#state === 'detached') return;
    this.detach();
    this.#onDetach(reason);
  }

  /** Reads one turn's share and hands its frames to the port. */
  protected abstract read(): void;
}

import { type AttachmentLimits, AttachmentSpace } from '../../src/attachment/attachment-space.ts';
import { Counters } from '../../src/env/counters.ts';
import type { LogFields } from '../../src/env/log.ts';
import type { Frame } from '../../src/link/frame.ts';
import type { Outlet } from '../../src/link/outlet.ts';
import type { Port } from '../../src/link/port.ts';
import { Turn } from '../../src/turn/turn.ts';
import { PlainArena } from '../support/plain-arena.ts';

/** A port that keeps a copy of every frame it was handed, with its facts. */
export class RecordingPort implements Port {
  readonly id = 1;
  readonly name = 'recording';
  readonly attachment = 'recording';
  heard = true;
  attached = true;
  rxFrames = 0;
  rxBytes = 0;
  txFrames = 0;
  txBytes = 0;
  readonly outlet: Outlet;
  readonly frames: Uint8Array[] = [];
  readonly facts: Frame[] = [];
  readonly #bytes: Uint8Array;

  constructor(outlet: Outlet, bytes: Uint8Array) {
    this.outlet = outlet;
    this.#bytes = bytes;
  }

  receive(frame: Frame): void {
    this.frames.push(this.#bytes.slice(frame.at, frame.at + frame.length));
    this.facts.push({ ...frame, plain: frame.plain } as Frame);
  }
}

/** An assembled AttachmentSpace with small regions, and what it logged. */
export function attachmentBench(limits: Partial<AttachmentLimits> = {}) {
  const arena = new PlainArena(16 * 2 ** 20);
  const turn = new Turn(0);
  const counters = new Counters();
  const lines: { message: string; fields: LogFields | undefined }[] = [];
  const log = {
    info: (): void => {},
    warn: (message: string, fields?: LogFields): void => void lines.push({ message, fields }),
  };
  const space = new AttachmentSpace(arena, turn, counters, log, {
    guests: 4,
    outboxBytes: 2 ** 20,
    receiveBytes: 2 ** 20,
    ...limits,
  });
  return { arena, turn, counters, lines, space };
}

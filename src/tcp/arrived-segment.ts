import type { TcpHeader } from '../wire/tcp.ts';
import type { TcpOptions } from '../wire/tcp-options.ts';

/** A segment of a guest. `Tcp` reuses one record: valid during the call that it is passed to. */
export interface ArrivedSegment {
  readonly header: TcpHeader;
  /** Only when the header has any. */
  readonly options: TcpOptions | undefined;
  /** The text is at [at, at + length). */
  readonly at: number;
  readonly length: number;
  /** Above 1 it stands for that many segments in sequence (a train, link/Frame), the texts `stride` apart. */
  readonly count: number;
  readonly stride: number;
}

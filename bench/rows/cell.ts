import type { BackendName, Lane, Setting } from '../backends/backend.ts';
import type { Workshop } from '../programs.ts';

/** What a row of the table says; the group decides which requirement it counts for. */
export interface Figure {
  readonly id: string;
  readonly title: string;
  readonly unit: string;
  readonly better: 'more' | 'less';
  readonly group: 'tcp' | 'udp' | 'http' | 'round-trip' | 'cpu' | 'loss' | 'footprint' | 'tap' | 'forward' | 'flood';
}

/** What a backend gave for a figure; a failure is its reason. */
export type Outcome = number | { readonly failed: string };

/** One measurement on one backend; a backend that is not named is not measured here. */
export interface Cell {
  readonly id: string;
  readonly setting: Setting;
  readonly backends: readonly BackendName[];
  readonly figures: readonly Figure[];
  /** One outcome per figure, in their order; throws with the reason when the backend can do none of them. */
  measure(lane: Lane, bench: Bench): Promise<readonly Outcome[]>;
}

export interface Bench {
  readonly workshop: Workshop;
  /** Length of one timed cell. */
  readonly seconds: number;
}

export const GUEST_BACKENDS: readonly BackendName[] = ['slipway', 'passt', 'slirp4netns'];
export const MTUS = [1500, 65520] as const;

/** The stream attachment for Slipway and passt; slirp4netns knows only its tap. */
export function stream(mtu: number): Setting {
  return { attachment: 'stream', mtu };
}

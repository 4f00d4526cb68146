import type { Rig } from './rig.ts';

/** What a case needs that not every engine or place has. */
export type CaseNeed = 'icmpErrors' | 'ttl' | 'ping' | 'refusal' | 'pipes' | 'unreachable addresses' | 'a router';

/** One case of the behaviour suite: the same for all engines. */
export interface HostCase {
  readonly name: string;
  readonly needs?: readonly CaseNeed[];
  /** Fails by throwing. */
  run(rig: Rig): Promise<void>;
}

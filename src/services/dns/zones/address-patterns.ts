import { createRequire } from 'node:module';
import type { RE2JS, RE2Set } from 're2js';
import { SlipwayError } from '../../../facts/errors.ts';
import type { ZonePattern } from '../../../config/dns-zones.ts';
import { zoneText } from './zone-record.ts';

/** Matching a name takes its length times this at most: 253 × 2,000 are some milliseconds. */
const MAX_INSTRUCTIONS = 2_000;
const MAX_CHARACTERS = 1_000;
/** 256 KiB a zone for the engine's cache of states; when it is full, the engine starts over. */
const MEMORY_BYTES = 262_144;

/** Loaded by the first pattern: few networks have one, and loading takes a twentieth of a second. */
let engine: { readonly RE2JS: typeof RE2JS; readonly RE2Set: typeof RE2Set } | undefined;

/**
 * The regular expressions of a zone, each with an address, in Go's syntax (RE2): names are searched for them without
 * regard to case, unanchored, as by Go's `MatchString`. The time is the name's length times the expressions' size,
 * whatever the two are. Bound: 2,000 instructions together.
 */
export class AddressPatterns {
  readonly #set: RE2Set;
  readonly #addresses: readonly number[];

  /** Throws Error with Go's message for an invalid expression. */
  constructor(patterns: readonly ZonePattern[]) {
    const sizes = patterns.map(({ expression }) => patternInstructions(expression));
    if (sizes.reduce((sum, size) => sum + size, 0) > MAX_INSTRUCTIONS) {
      throw new Error(`its patterns compile to more than ${MAX_INSTRUCTIONS} instructions together`);
    }
    const { RE2JS, RE2Set } = loaded();
    this.#set = new RE2Set(RE2Set.UNANCHORED, RE2JS.CASE_INSENSITIVE, MEMORY_BYTES);
    for (const { expression } of patterns) this.#set.add(expression);
    // Now rather than with the first question.
    this.#set.compile();
    this.#addresses = patterns.map(({ address }) => address);
  }

  /** The address of the first expression that is found in `name`. */
  find(name: string): number | undefined {
    const first = this.first(name);
    return first === undefined ? undefined : this.#addresses[first];
  }

  /** Which expression is the first that is found in `name`. */
  first(name: string): number | undefined {
    const found = this.#set.match(name);
    return found.length === 0 ? undefined : Math.min(...found);
  }
}

/** The patterns of a zone; undefined for none. Throws SlipwayError ERR_DNS_ZONE. */
export function zonePatterns(zone: string, patterns: readonly ZonePattern[] = []): AddressPatterns | undefined {
  if (patterns.length === 0) return undefined;
  try {
    return new AddressPatterns(patterns);
  } catch (cause) {
    const hint = 'Patterns are regular expressions in Go’s syntax; a wildcard is often enough.';
    throw new SlipwayError('ERR_DNS_ZONE', `the zone ${zoneText(zone)}: ${(cause as Error).message}`, hint, { cause });
  }
}

/** The size of an expression, in instructions. Throws Error with Go's message for an invalid one. */
export function patternInstructions(expression: string): number {
  if (expression.length > MAX_CHARACTERS) {
    throw new Error(`error parsing regexp: expression too large: \`${expression.slice(0, 40)}...\``);
  }
  try {
    return loaded().RE2JS.compile(expression).programSize();
  } catch (error) {
    throw new Error((error as Error).message);
  }
}

function loaded(): NonNullable<typeof engine> {
  engine ??= createRequire(import.meta.url)('re2js') as NonNullable<typeof engine>;
  return engine;
}

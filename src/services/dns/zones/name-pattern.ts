import { type CharacterSet, type Pattern, PatternError, parsePattern } from './pattern-syntax.ts';

/** Steps for each character of a name, at most: 253 × 2,000 are some milliseconds. */
export const MAX_PATTERN_STEPS = 2_000;
const MAX_PATTERN_CHARACTERS = 1_000;

const LOWER = 0x20;
const WORD = /^[0-9A-Za-z_]$/;

type Step =
  | { readonly kind: 'set'; readonly set: CharacterSet }
  | { readonly kind: 'assert'; readonly what: 'begin' | 'end' | 'boundary' | 'no-boundary' }
  /** Goes on at both. */
  | { readonly kind: 'split'; one: number; other: number }
  | { readonly kind: 'match' };

/**
 * A regular expression in Go's syntax that is looked for in names, without regard to case. All ways through it are followed at once
 * (Thompson's construction), so that the time is the name's length times the expression's size whatever the two are: there are no
 * expressions that take for ever. Unanchored, as Go's `MatchString`.
 */
export class NamePattern {
  readonly text: string;
  readonly #steps: readonly Step[];

  /** Throws Error with Go's words, which name the expression. */
  constructor(text: string) {
    if (text.length > MAX_PATTERN_CHARACTERS) throw new PatternError('expression too large', `${text.slice(0, 40)}...`);
    this.text = text;
    const steps: Step[] = [];
    emit(parsePattern(text), steps, text);
    steps.push({ kind: 'match' });
    this.#steps = steps;
  }

  /** How much each character of a name costs. */
  get size(): number {
    return this.#steps.length;
  }

  matches(name: string): boolean {
    const steps = this.#steps;
    let here: number[] = [];
    const seen = new Int32Array(steps.length).fill(-1);
    for (let at = 0; at <= name.length; at++) {
      const next: number[] = [];
      if (this.#follow(0, name, at, here, seen)) return true;
      const code = name.charCodeAt(at);
      for (const index of here) {
        const step = steps[index]!;
        if (step.kind !== 'set' || !has(step.set, code)) continue;
        if (this.#follow(index + 1, name, at + 1, next, seen)) return true;
      }
      here = next;
    }
    return false;
  }

  /** Adds all sets that can be tried at `at` once `from` is reached; true when the end is. `seen`: where each step was last reached. */
  #follow(from: number, name: string, at: number, sets: number[], seen: Int32Array): boolean {
    const open = [from];
    for (let index = open.pop(); index !== undefined; index = open.pop()) {
      if (seen[index] === at) continue;
      seen[index] = at;
      const step = this.#steps[index]!;
      if (step.kind === 'match') return true;
      if (step.kind === 'set') sets.push(index);
      else if (step.kind === 'split') open.push(step.other, step.one);
      else if (holds(step.what, name, at)) open.push(index + 1);
    }
    return false;
  }
}

/** Appends the steps of a part; each falls through to what comes behind it. */
function emit(pattern: Pattern, steps: Step[], text: string): void {
  if (steps.length >= MAX_PATTERN_STEPS) throw new PatternError('expression too large', text);
  switch (pattern.kind) {
    case 'set':
    case 'assert':
      steps.push(pattern);
      return;
    case 'sequence':
      for (const part of pattern.parts) emit(part, steps, text);
      return;
    case 'choice':
      emitChoice(pattern.parts, steps, text);
      return;
    case 'repeat':
      emitRepeat(pattern, steps, text);
  }
}

function emitChoice(parts: readonly Pattern[], steps: Step[], text: string): void {
  const ends: { one: number; other: number }[] = [];
  for (const [index, part] of parts.entries()) {
    const last = index === parts.length - 1;
    const fork = { kind: 'split' as const, one: steps.length + 1, other: 0 };
    if (!last) steps.push(fork);
    emit(part, steps, text);
    if (last) break;
    const jump = { kind: 'split' as const, one: 0, other: 0 };
    steps.push(jump);
    ends.push(jump);
    fork.other = steps.length;
  }
  for (const jump of ends) jump.one = jump.other = steps.length;
}

function emitRepeat(
  { part, least, most }: Extract<Pattern, { readonly kind: 'repeat' }>,
  steps: Step[],
  text: string,
): void {
  for (let i = 0; i < least; i++) {
    const before = steps.length;
    emit(part, steps, text);
    // Nothing, however often: what is nested ten times would otherwise never end.
    if (steps.length === before) break;
  }
  if (most === undefined) {
    const fork = { kind: 'split' as const, one: steps.length + 1, other: 0 };
    const start = steps.push(fork) - 1;
    emit(part, steps, text);
    steps.push({ kind: 'split', one: start, other: start });
    fork.other = steps.length;
    return;
  }
  const forks: { other: number }[] = [];
  for (let i = least; i < most; i++) {
    const fork = { kind: 'split' as const, one: steps.length + 1, other: 0 };
    steps.push(fork);
    forks.push(fork);
    emit(part, steps, text);
  }
  for (const fork of forks) fork.other = steps.length;
}

function has(set: CharacterSet, code: number): boolean {
  if (set[code] === 1) return true;
  const isLetter = (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a);
  return isLetter && set[code ^ LOWER] === 1;
}

function holds(what: 'begin' | 'end' | 'boundary' | 'no-boundary', name: string, at: number): boolean {
  if (what === 'begin') return at === 0;
  if (what === 'end') return at === name.length;
  const boundary = WORD.test(name[at - 1] ?? '') !== WORD.test(name[at] ?? '');
  return boundary === (what === 'boundary');
}

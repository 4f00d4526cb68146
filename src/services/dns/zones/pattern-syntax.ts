/** Go's regular expressions (RE2 syntax) as far as names of hosts need them, read into a tree. */

/** Which of the 128 characters of ASCII match. */
export type CharacterSet = Uint8Array;

export type Pattern =
  | { readonly kind: 'set'; readonly set: CharacterSet }
  | { readonly kind: 'assert'; readonly what: 'begin' | 'end' | 'boundary' | 'no-boundary' }
  | { readonly kind: 'sequence'; readonly parts: readonly Pattern[] }
  | { readonly kind: 'choice'; readonly parts: readonly Pattern[] }
  /** `most` undefined: any number. Whether it is greedy does not matter to whether it matches. */
  | { readonly kind: 'repeat'; readonly part: Pattern; readonly least: number; readonly most: number | undefined };

/** What Go says of an expression that is none; the message is Go's. */
export class PatternError extends Error {
  constructor(why: string, where: string) {
    super(`error parsing regexp: ${why}: \`${where}\``);
  }
}

/** Go takes 1,000; the parser calls itself. */
const MAX_NESTING = 200;
const MAX_REPEAT = 1_000;
const CHARACTERS = 128;

const DIGITS = '0-9';
const WORD = '0-9A-Za-z_';
const CLASSES: Readonly<Record<string, string>> = {
  alnum: '0-9A-Za-z',
  alpha: 'A-Za-z',
  ascii: '\x00-\x7f',
  blank: '\t ',
  cntrl: '\x00-\x1f\x7f',
  digit: DIGITS,
  graph: '!-~',
  lower: 'a-z',
  print: ' -~',
  punct: '!-/:-@[-`{-~',
  space: '\t\n\v\f\r ',
  upper: 'A-Z',
  word: WORD,
  xdigit: '0-9A-Fa-f',
};
const PERL: Readonly<Record<string, string>> = { d: DIGITS, s: '\t\n\f\r ', w: WORD };
const CONTROLS: Readonly<Record<string, string>> = { a: '\x07', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' };

/** Throws PatternError. */
export function parsePattern(text: string): Pattern {
  const parser = new Parser(text);
  const pattern = parser.choice(0);
  if (parser.rest !== '') throw new PatternError('unexpected )', text);
  return pattern;
}

class Parser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get rest(): string {
    return this.#text.slice(this.#at);
  }

  choice(depth: number): Pattern {
    if (depth > MAX_NESTING) throw new PatternError('expression nests too deeply', this.#text);
    const parts = [this.#sequence(depth)];
    while (this.#take('|')) parts.push(this.#sequence(depth));
    return parts.length === 1 ? parts[0]! : { kind: 'choice', parts };
  }

  #sequence(depth: number): Pattern {
    const parts: Pattern[] = [];
    for (;;) {
      const next = this.#text[this.#at];
      if (next === undefined || next === '|' || next === ')') return { kind: 'sequence', parts };
      const start = this.#at;
      if (this.#repetition() !== undefined) {
        throw new PatternError('missing argument to repetition operator', this.#text.slice(start, this.#at));
      }
      parts.push(this.#repeated(this.#atom(depth)));
    }
  }

  #repeated(atom: Pattern): Pattern {
    const start = this.#at;
    const found = this.#repetition();
    if (found === undefined) return atom;
    this.#take('?');
    const { least, most } = found;
    if (least > MAX_REPEAT || (most !== undefined && (most > MAX_REPEAT || most < least))) {
      throw new PatternError('invalid repeat count', this.#text.slice(start, this.#at));
    }
    if (this.#repetition() !== undefined) {
      throw new PatternError('invalid nested repetition operator', this.#text.slice(start, this.#at));
    }
    return { kind: 'repeat', part: atom, least, most };
  }

  /** The operator that stands here; "{" that begins none is a character. */
  #repetition(): { readonly least: number; readonly most: number | undefined } | undefined {
    if (this.#take('*')) return { least: 0, most: undefined };
    if (this.#take('+')) return { least: 1, most: undefined };
    if (this.#take('?')) return { least: 0, most: 1 };
    const counted = /^\{(\d{1,9})(,(\d{1,9})?)?\}/.exec(this.rest);
    if (counted === null) return undefined;
    this.#at += counted[0].length;
    const least = Number(counted[1]);
    if (counted[2] === undefined) return { least, most: least };
    return { least, most: counted[3] === undefined ? undefined : Number(counted[3]) };
  }

  #atom(depth: number): Pattern {
    const start = this.#at;
    const char = this.#text[this.#at++]!;
    if (char === '(') return this.#group(depth);
    if (char === '[') return { kind: 'set', set: this.#bracket(start) };
    if (char === '.') return { kind: 'set', set: inverted(charactersOf('\n')) };
    if (char === '^') return { kind: 'assert', what: 'begin' };
    if (char === '$') return { kind: 'assert', what: 'end' };
    if (char !== '\\') return { kind: 'set', set: single(char) };
    const assertion = this.#assertion();
    return assertion ?? { kind: 'set', set: this.#escape(start) };
  }

  #group(depth: number): Pattern {
    if (this.#text[this.#at] === '?') {
      // Names cross no lines and are compared without regard to case: of the flags none matters.
      const opening = /^\?(?:P?<\w+>|(?:[ims U]*(?:-[ims]+)?)([:)]))/.exec(this.rest);
      if (opening === null) {
        throw new PatternError('invalid or unsupported Perl syntax', `(${this.rest.slice(0, 2)}`);
      }
      this.#at += opening[0].length;
      if (opening[1] === ')') return { kind: 'sequence', parts: [] };
    }
    const inner = this.choice(depth + 1);
    if (!this.#take(')')) throw new PatternError('missing closing )', this.#text);
    return inner;
  }

  #assertion(): Pattern | undefined {
    const what = { b: 'boundary', B: 'no-boundary', A: 'begin', z: 'end' } as const;
    const found = what[this.#text[this.#at] as keyof typeof what];
    if (found === undefined) return undefined;
    this.#at++;
    return { kind: 'assert', what: found };
  }

  /** Behind a backslash at `start`. */
  #escape(start: number): CharacterSet {
    const char = this.#text[this.#at++];
    if (char === undefined) throw new PatternError('trailing backslash at end of expression', '');
    const perl = PERL[char.toLowerCase()];
    if (perl !== undefined) return char === char.toLowerCase() ? charactersOf(perl) : inverted(charactersOf(perl));
    if (CONTROLS[char] !== undefined) return single(CONTROLS[char]);
    const hex = /^(?:x([\dA-Fa-f]{2})|x\{([\dA-Fa-f]{1,6})\}|([0-7]{3}))/.exec(this.#text.slice(this.#at - 1));
    if (hex !== null) {
      this.#at += hex[0].length - 1;
      const code = hex[3] === undefined ? Number.parseInt(hex[1] ?? hex[2] ?? '', 16) : Number.parseInt(hex[3], 8);
      return code < CHARACTERS ? single(String.fromCharCode(code)) : new Uint8Array(CHARACTERS);
    }
    if (/[^\w\x80-\uffff]/.test(char)) return single(char);
    throw new PatternError('invalid escape sequence', this.#text.slice(start, this.#at));
  }

  /** A class; its "[" is at `start`. */
  #bracket(start: number): CharacterSet {
    const set = new Uint8Array(CHARACTERS);
    const negated = this.#take('^');
    for (let first = true; ; first = false) {
      const char = this.#text[this.#at];
      if (char === undefined) throw new PatternError('missing closing ]', this.#text.slice(start));
      if (char === ']' && !first) break;
      const named = /^\[:(\^?)(\w+):\]/.exec(this.rest);
      if (named !== null) {
        this.#at += named[0].length;
        const characters = CLASSES[named[2] ?? ''];
        if (characters === undefined) throw new PatternError('invalid character class range', named[0]);
        add(set, named[1] === '' ? charactersOf(characters) : inverted(charactersOf(characters)));
        continue;
      }
      this.#range(set);
    }
    this.#at++;
    return negated ? inverted(set) : set;
  }

  #range(set: CharacterSet): void {
    const start = this.#at;
    const low = this.#member();
    const ranged = this.#text[this.#at] === '-' && !['', ']'].includes(this.#text[this.#at + 1] ?? '');
    if (!ranged) {
      add(set, low);
      return;
    }
    this.#at++;
    const high = this.#member();
    const [from, to] = [low.indexOf(1), high.lastIndexOf(1)];
    const each = low.lastIndexOf(1) === from && high.indexOf(1) === to;
    if (!each || from > to) {
      throw new PatternError('invalid character class range', this.#text.slice(start, this.#at));
    }
    if (from >= 0) set.fill(1, from, to + 1);
  }

  #member(): CharacterSet {
    const start = this.#at;
    const char = this.#text[this.#at++] ?? '';
    return char === '\\' ? this.#escape(start) : single(char);
  }

  #take(char: string): boolean {
    if (this.#text[this.#at] !== char) return false;
    this.#at++;
    return true;
  }
}

function single(char: string): CharacterSet {
  const set = new Uint8Array(CHARACTERS);
  const code = char.charCodeAt(0);
  if (code < CHARACTERS) set[code] = 1;
  return set;
}

/** "0-9A-Z_": ranges and characters. */
function charactersOf(text: string): CharacterSet {
  const set = new Uint8Array(CHARACTERS);
  for (let i = 0; i < text.length; i++) {
    const from = text.charCodeAt(i);
    const ranged = text[i + 1] === '-' && i + 2 < text.length;
    set.fill(1, from, (ranged ? text.charCodeAt(i + 2) : from) + 1);
    if (ranged) i += 2;
  }
  return set;
}

function inverted(set: CharacterSet): CharacterSet {
  return set.map((one) => 1 - one);
}

function add(set: CharacterSet, more: CharacterSet): void {
  for (let i = 0; i < CHARACTERS; i++) if (more[i] === 1) set[i] = 1;
}

/**
 * Reads JSON as Go's json.Decoder does, down to the texts of its errors: clients of gvproxy show them, and tests compare them. One value
 * is read; what stands behind it is left alone. Go is laxer than JSON.parse in nothing but that, and in what it says.
 */

/** Go's own limit of nesting. */
const MAX_DEPTH = 10_000;

export type GoJson =
  | { readonly value: unknown }
  /** `offset`: json.SyntaxError's, the bytes up to and with the offending one; undefined for a text that is cut off. */
  | { readonly error: string; readonly offset: number | undefined };

/** What a text expects at a place; the words are Go's. */
type Expected = 'value' | 'value-or-end' | 'key' | 'key-or-end';

class GoSyntaxError extends Error {
  readonly offset: number | undefined;

  constructor(message: string, offset?: number) {
    super(message);
    this.offset = offset;
  }
}

/** Never throws. */
export function parseGoJson(bytes: Uint8Array): GoJson {
  // One character a byte, as Go's scanner sees them.
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  const start = skipSpace(text, 0);
  if (start === text.length) return { error: 'EOF', offset: undefined };
  try {
    const end = endOfValue(text, start);
    return { value: JSON.parse(Buffer.from(text.slice(start, end), 'latin1').toString('utf8')) as unknown };
  } catch (error) {
    return { error: (error as Error).message, offset: error instanceof GoSyntaxError ? error.offset : undefined };
  }
}

/** Where the value that begins at `start` ends. Throws with Go's words. */
function endOfValue(text: string, start: number): number {
  const open: ('{' | '[')[] = [];
  let expected: Expected = 'value';
  let at = start;
  for (;;) {
    at = skipSpace(text, at);
    const char = text[at];
    const closes = (expected === 'value-or-end' && char === ']') || (expected === 'key-or-end' && char === '}');
    if (closes) {
      open.pop();
      at++;
    } else if (expected === 'key' || expected === 'key-or-end') {
      if (char !== '"') throw unexpected(text, at, 'looking for beginning of object key string');
      at = skipSpace(text, endOfString(text, at + 1));
      if (text[at] !== ':') throw unexpected(text, at, 'after object key');
      at++;
      expected = 'value';
      continue;
    } else if (char === '{' || char === '[') {
      if (open.push(char) > MAX_DEPTH) throw new GoSyntaxError('exceeded max depth', at + 1);
      at++;
      expected = char === '{' ? 'key-or-end' : 'value-or-end';
      continue;
    } else at = endOfScalar(text, at);
    const next = afterValue(text, at, open);
    if (next === undefined) return at;
    at = next.at;
    expected = next.expected;
  }
}

/** Closes what ends behind a value; undefined when all is closed. */
function afterValue(
  text: string,
  from: number,
  open: ('{' | '[')[],
): { readonly at: number; readonly expected: Expected } | undefined {
  const inside = open.at(-1);
  if (inside === undefined) return undefined;
  const at = skipSpace(text, from);
  const char = text[at];
  if (char === ',') return { at: at + 1, expected: inside === '{' ? 'key' : 'value' };
  // The bracket is closed where the next round begins, as an empty one would be.
  if (inside === '{' && char === '}') return { at, expected: 'key-or-end' };
  if (inside === '[' && char === ']') return { at, expected: 'value-or-end' };
  throw unexpected(text, at, inside === '{' ? 'after object key:value pair' : 'after array element');
}

function endOfScalar(text: string, at: number): number {
  const char = text[at] ?? '';
  if (char === '"') return endOfString(text, at + 1);
  if (char === 't') return endOfLiteral(text, at, 'true');
  if (char === 'f') return endOfLiteral(text, at, 'false');
  if (char === 'n') return endOfLiteral(text, at, 'null');
  if (char === '-' || isDigit(char)) return endOfNumber(text, at);
  throw unexpected(text, at, 'looking for beginning of value');
}

function endOfLiteral(text: string, start: number, literal: string): number {
  for (let i = 1; i < literal.length; i++) {
    if (text[start + i] !== literal[i]) {
      throw unexpected(text, start + i, `in literal ${literal} (expecting '${literal[i]}')`);
    }
  }
  return start + literal.length;
}

function endOfNumber(text: string, start: number): number {
  let at = text[start] === '-' ? start + 1 : start;
  if (text[at] === '0') at++;
  else at = digits(text, at, 'in numeric literal');
  if (text[at] === '.') at = digits(text, at + 1, 'after decimal point in numeric literal');
  if (text[at] === 'e' || text[at] === 'E') {
    at++;
    if (text[at] === '+' || text[at] === '-') at++;
    at = digits(text, at, 'in exponent of numeric literal');
  }
  return at;
}

function digits(text: string, start: number, where: string): number {
  let at = start;
  while (isDigit(text[at] ?? '')) at++;
  if (at === start) throw unexpected(text, at, where);
  return at;
}

function endOfString(text: string, start: number): number {
  let at = start;
  for (;;) {
    const char = text[at];
    if (char === '"') return at + 1;
    if (char === undefined || char < ' ') throw unexpected(text, at, 'in string literal');
    at++;
    if (char !== '\\') continue;
    const escaped = text[at] ?? '';
    if (escaped === 'u') {
      for (let i = 1; i <= 4; i++) {
        if (!/^[\dA-Fa-f]$/.test(text[at + i] ?? '')) {
          throw unexpected(text, at + i, 'in \\u hexadecimal character escape');
        }
      }
      at += 5;
    } else if (escaped !== '' && 'bfnrt\\/"'.includes(escaped)) at++;
    else throw unexpected(text, at, 'in string escape code');
  }
}

function skipSpace(text: string, start: number): number {
  let at = start;
  while (text[at] === ' ' || text[at] === '\t' || text[at] === '\r' || text[at] === '\n') at++;
  return at;
}

function isDigit(char: string): boolean {
  return char >= '0' && char <= '9';
}

function unexpected(text: string, at: number, where: string): GoSyntaxError {
  const char = text[at];
  if (char === undefined) return new GoSyntaxError('unexpected EOF');
  return new GoSyntaxError(`invalid character ${quotedByte(char)} ${where}`, at + 1);
}

/** A byte in quotes as strconv.Quote shows it. */
function quotedByte(char: string): string {
  if (char === "'") return `'\\''`;
  if (char === '"') return `'"'`;
  return `'${goQuote(char).slice(1, -1)}'`;
}

const SHORT: Readonly<Record<string, string>> = {
  '\x07': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '\\': '\\\\',
  '"': '\\"',
};

/** strconv.Quote, as far as what is not printable below U+0100 and controls go. */
export function goQuote(text: string): string {
  let quoted = '"';
  for (const char of text) {
    const code = char.codePointAt(0) ?? 0;
    const hex = code.toString(16);
    if (SHORT[char] !== undefined) quoted += SHORT[char];
    else if (code < 0x20 || code === 0x7f) quoted += `\\x${hex.padStart(2, '0')}`;
    else if ((code >= 0x80 && code <= 0xa0) || code === 0xad) quoted += `\\u${hex.padStart(4, '0')}`;
    else quoted += char;
  }
  return `${quoted}"`;
}

/** json.Encoder: no spaces, <, > and & escaped for HTML, a newline at the end. */
export function goEncode(value: unknown): string {
  const text = JSON.stringify(value);
  return `${text.replace(/[<>&\u2028\u2029]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)}\n`;
}

/** What Go calls the kind of a JSON value. */
export function goKind(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  return typeof value === 'boolean' ? 'bool' : typeof value;
}

/**
 * Reads string fields of a struct as Go does: keys without regard to case, the last one of several, null and missing as "". Returns
 * the text of Go's error where a value does not fit; `fields` has the JSON keys and the types that this text names.
 */
export function goStrings<Key extends string>(
  value: unknown,
  struct: string,
  fields: Readonly<Record<Key, string>>,
): Record<Key, string> | string {
  const names = Object.keys(fields) as Key[];
  const read = Object.fromEntries(names.map((name) => [name, ''])) as Record<Key, string>;
  if (value === null) return read;
  if (typeof value !== 'object' || Array.isArray(value)) return misfit(value, `Go value of type types.${struct}`);
  let error: string | undefined;
  for (const [key, part] of Object.entries(value)) {
    const name = goField(key, names);
    if (name === undefined || part === null) continue;
    if (typeof part === 'string') read[name] = part.replace(/\p{Surrogate}/gu, '\ufffd');
    else error ??= misfit(part, `Go struct field ${struct}.${name} of type ${fields[name]}`);
  }
  return error ?? read;
}

/** The field that a key means. */
export function goField<Name extends string>(key: string, names: readonly Name[]): Name | undefined {
  return names.find((name) => name === key) ?? names.find((name) => name.toLowerCase() === key.toLowerCase());
}

export function misfit(value: unknown, target: string): string {
  return `json: cannot unmarshal ${goKind(value)} into ${target}`;
}

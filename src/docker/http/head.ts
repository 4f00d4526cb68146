/**
 * The head of an HTTP/1 message (RFC 9112 §2.1), kept octet for octet. It is read as Go's net/http reads it, because
 * that is what the engine does: lines may end in LF alone, names compare without case.
 */
export interface MessageHead {
  /** All of it, through the empty line. */
  readonly bytes: Buffer;
  /** The request line or status line. */
  readonly startLine: string;
  /** Names in lower case, values without the spaces around them, in the order in which they came. */
  readonly fields: readonly (readonly [name: string, value: string])[];
}

export interface RequestHead extends MessageHead {
  readonly method: string;
  /** As it was sent: path and query. */
  readonly target: string;
  readonly minorVersion: 0 | 1;
}

export interface ResponseHead extends MessageHead {
  readonly status: number;
  readonly minorVersion: 0 | 1;
}

/** What Go's server reads of a head (DefaultMaxHeaderBytes and its slack). A longer one is the engine's to refuse. */
export const MAX_HEAD_BYTES: number = 1024 * 1024 + 4096;

const LF = 0x0a;
const CR = 0x0d;

/**
 * Where the head that begins `bytes` ends, behind its empty line; -1 while that has not come. `from` was searched
 * before.
 */
export function headEnd(bytes: Buffer, from: number): number {
  for (let at = bytes.indexOf(LF, Math.max(0, from - 2)); at >= 0; at = bytes.indexOf(LF, at + 1)) {
    if (bytes[at + 1] === LF) return at + 2;
    if (bytes[at + 1] === CR && bytes[at + 2] === LF) return at + 3;
  }
  return -1;
}

/** The head that fills `bytes` as a request; undefined where it is none of HTTP/1. */
export function parseRequestHead(bytes: Buffer): RequestHead | undefined {
  const head = parseHead(bytes);
  const match = /^([!#-'*+\-.^-z|~A-Z0-9]+) (\S+) HTTP\/1\.([01])$/.exec(head.startLine);
  if (match === null) return undefined;
  return { ...head, method: match[1]!, target: match[2]!, minorVersion: match[3] === '0' ? 0 : 1 };
}

/** The head that fills `bytes` as a response; undefined where it is none of HTTP/1. */
export function parseResponseHead(bytes: Buffer): ResponseHead | undefined {
  const head = parseHead(bytes);
  const match = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: .*)?$/.exec(head.startLine);
  if (match === null) return undefined;
  return { ...head, status: Number(match[2]), minorVersion: match[1] === '0' ? 0 : 1 };
}

function parseHead(bytes: Buffer): MessageHead {
  const [startLine = '', ...lines] = bytes.toString('latin1').split(/\r?\n/);
  const fields = lines.flatMap((line) => {
    const colon = line.indexOf(':');
    return colon > 0 ? [[line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const] : [];
  });
  return { bytes, startLine, fields };
}

/** The values of all fields called `name` (in lower case), which may be a list each. */
export function fieldValues(head: MessageHead, name: string): readonly string[] {
  return head.fields.flatMap(([key, value]) => (key === name ? value.split(',').map((item) => item.trim()) : []));
}

/** Whether a field that is a list of words, such as Connection, has this one. */
export function hasWord(head: MessageHead, name: string, word: string): boolean {
  return fieldValues(head, name).some((value) => value.toLowerCase() === word);
}

import type { AttachmentKind } from '../attachment/kinds/kind.ts';
import { ATTACHMENT_KINDS, kindOf } from '../attachment/kinds/kinds.ts';
import type { AttachmentPlace } from '../env/attachment-place.ts';
import { type ErrorCode, SlipwayError } from '../facts/errors.ts';
import { Mismatch, type ValueParser } from './values.ts';

/** Where guests attach: one `--listen`. Plain data: it goes to the network thread as it is. */
export interface AttachmentUrl {
  /** As the person wrote it. */
  readonly text: string;
  /** Names the `AttachmentKind`. */
  readonly scheme: string;
  /** Slipway dials and redials (QEMU with `server=on`) instead of listening. */
  readonly connect: boolean;
  readonly target: AttachmentPlace;
}

/** Every form that an address can have, for help and errors. */
export const LISTEN_FORMS: string = listenForms();

/** Parses an attachment URL; what comes back as text is what was expected instead. Never throws. */
export function parseListenUrl(text: string): AttachmentUrl | string {
  const match = /^([a-z0-9+]+):\/\/([^?]*)(?:\?(.*))?$/.exec(text);
  const [, scheme = '', rest = '', query] = match ?? [];
  const kind = kindOf(scheme);
  if (kind === undefined) return LISTEN_FORMS;
  if (query !== undefined && !kind.dials) return `nothing after a question mark: ${scheme} cannot dial`;
  if (query !== undefined && query !== 'connect') return `nothing but "connect" after the question mark of the URL`;
  const connect = query === 'connect';
  const target = kind.parse(rest, connect);
  return typeof target === 'string' ? target : { text, scheme, connect, target };
}

/** Its kind. Throws a RangeError for a scheme that `parseListenUrl` does not know. */
export function attachmentKind({ scheme }: Pick<AttachmentUrl, 'scheme'>): AttachmentKind {
  const kind = kindOf(scheme);
  if (kind === undefined) throw new RangeError(`no attachment is called ${scheme}`);
  return kind;
}

/** One of the key `listen`. */
export const listenUrl: ValueParser<AttachmentUrl> = (raw) => {
  const parsed = parseListenUrl(typeof raw === 'string' ? raw : '');
  return typeof parsed === 'string' ? new Mismatch(parsed) : parsed;
};

/**
 * The whole key, or the flag `name`. Throws SlipwayError `code` when one is listed twice; port 0 is another one each
 * time.
 */
export function resolveListen(
  urls: readonly AttachmentUrl[],
  name: string = 'listen',
  code: ErrorCode = 'ERR_CONFIG_INVALID',
): readonly AttachmentUrl[] {
  const repeated = urls.find((url, index) => {
    const place = placeOf(url);
    return place !== undefined && urls.slice(0, index).some((before) => placeOf(before) === place);
  });
  if (repeated === undefined) return [...urls];
  throw new SlipwayError(code, `${name}: ${repeated.text} is listed twice`, 'Give each address once.');
}

function placeOf({ target, connect }: AttachmentUrl): string | undefined {
  const place = target.kind === 'unix' ? target.path : target.port > 0 ? `${target.address}:${target.port}` : undefined;
  return place === undefined ? undefined : `${place} ${connect}`;
}

/**
 * The arguments, for a shell, that join a guest through `url`; `bound` is the port of a listener, where it was left to
 * the host.
 */
export function guestArguments(url: AttachmentUrl, bound = 0): string {
  const { target, connect } = url;
  const place = target.kind === 'tcp' && bound > 0 ? { ...target, port: bound } : target;
  return attachmentKind(url).guestArguments(place, connect).map(shellQuoted).join(' ');
}

function shellQuoted(word: string): string {
  return /^[\w./:=,+@%-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

function listenForms(): string {
  const shown = (kinds: readonly AttachmentKind[], what: (kind: AttachmentKind) => string): string =>
    kinds
      .map(what)
      .join(', ')
      .replace(/, ([^,]*)$/, ' or $1');
  const dialled = ATTACHMENT_KINDS.filter(({ dials }) => dials);
  const dialling = `with ?connect ${shown(dialled, ({ scheme }) => scheme)} dials instead of listening`;
  return `${shown(ATTACHMENT_KINDS, ({ example }) => example)}; ${dialling}`;
}

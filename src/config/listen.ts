import { type ErrorCode, SlipwayError } from '../facts/errors.ts';
import { type AttachmentUrl, parseListenUrl, repeatedUrl } from './listen-url.ts';
import { Mismatch, type ValueParser } from './values.ts';

/** One of the key `listen`. */
export const listenUrl: ValueParser<AttachmentUrl> = (raw) => {
  const parsed = parseListenUrl(typeof raw === 'string' ? raw : '');
  return typeof parsed === 'string' ? new Mismatch(parsed) : parsed;
};

/** The whole key, or the flag `name`. Throws SlipwayError `code` when one is listed twice. */
export function resolveListen(
  urls: readonly AttachmentUrl[],
  name: string = 'listen',
  code: ErrorCode = 'ERR_CONFIG_INVALID',
): readonly AttachmentUrl[] {
  const repeated = repeatedUrl(urls);
  if (repeated === undefined) return [...urls];
  throw new SlipwayError(
    code,
    `${name}: ${repeated.text} is listed twice`,
    'Many guests can attach at one address; give it once.',
  );
}

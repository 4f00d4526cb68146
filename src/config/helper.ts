import { isUnixPath } from '../facts/unix-path.ts';
import { Mismatch, type ValueParser } from './values.ts';

/** The key `helper`: where the privileged helper listens; 'none' asks nobody. */
export const helperSocket: ValueParser<string> = (raw) =>
  raw === 'none' || isUnixPath(raw) ? raw : new Mismatch('the absolute path of a socket, or none');

import { Mismatch, type ValueParser } from './values.ts';

/** The key `state`: a folder's path that means the same wherever the process was started. */
export const folder: ValueParser<string> = (raw) =>
  typeof raw === 'string' && raw.startsWith('/') && !raw.includes('\0')
    ? raw
    : new Mismatch('an absolute path of a folder');

/**
 * Where `slipway up` keeps what outlives it, unless told: $XDG_STATE_HOME/slipway or ~/.local/state/slipway (XDG Base
 * Directory Specification, which ignores a relative path); '' where there is no home, which keeps nothing.
 */
export function stateFolder(environment: Readonly<Record<string, string | undefined>>): string {
  const { XDG_STATE_HOME: state = '', HOME: home = '' } = environment;
  if (state.startsWith('/')) return `${state.replace(/\/+$/, '')}/slipway`;
  return home.startsWith('/') ? `${home.replace(/\/+$/, '')}/.local/state/slipway` : '';
}

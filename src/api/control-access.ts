import type { IncomingMessage } from 'node:http';
import { SlipwayError } from '../config/errors.ts';
import { sameToken } from './control-token.ts';

/** Where a client came in. */
export type ControlPeer = 'unix' | 'tcp';

export interface AccessRules {
  /** Undefined: nothing that wants it is ever allowed. */
  readonly token: string | undefined;
  /** The socket's own mode lets in whoever has our uid; while a guest of `slipway run` is among those, it is not enough. */
  readonly tokenOnSocket: boolean;
}

const LOOPBACK_HOST = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i;

/**
 * Refuses a request that may not be served; undefined when it may. A browser that was led here under another name (DNS
 * rebinding) says so in Host.
 */
export function refusal(
  { headers }: Pick<IncomingMessage, 'headers'>,
  peer: ControlPeer,
  { token, tokenOnSocket }: AccessRules,
): SlipwayError | undefined {
  if (peer === 'tcp' && !LOOPBACK_HOST.test(headers.host ?? '')) {
    return new SlipwayError(
      'ERR_CONTROL_HOST',
      `${JSON.stringify((headers.host ?? '').slice(0, 80))} is not a name of the control API`,
      'Ask it as localhost, 127.0.0.1 or [::1].',
    );
  }
  if (peer === 'unix' && !tokenOnSocket) return undefined;
  const given = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1];
  if (given !== undefined && token !== undefined && sameToken(given, token)) return undefined;
  return new SlipwayError(
    'ERR_CONTROL_TOKEN',
    given === undefined ? 'the request has no token' : 'the token of the request is another',
    'Send "Authorization: Bearer TOKEN"; docs/api.md says where the token is.',
  );
}

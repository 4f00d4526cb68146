import type { IncomingMessage } from 'node:http';
import { SlipwayError } from '../../facts/errors.ts';
import { sameToken } from './control-token.ts';

/** Where a client came in. */
export type ControlPeer = 'unix' | 'tcp';

export interface AccessRules {
  /** Undefined: no request that needs a token is allowed. */
  readonly token: string | undefined;
  /**
   * The socket's mode admits everyone with our uid. That is not enough for `slipway run`, whose guest has our uid, too.
   */
  readonly tokenOnSocket: boolean;
}

const LOOPBACK_HOST = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i;

/**
 * The refusal of a request; undefined when it may be served. A browser that was brought here by DNS rebinding shows the
 * foreign name in Host.
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
    given === undefined ? 'the request has no token' : 'the token of the request is wrong',
    'Send "Authorization: Bearer TOKEN"; docs/api.md says where the token is.',
  );
}

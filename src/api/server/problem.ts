import { type ErrorCode, SlipwayError } from '../../facts/errors.ts';

/** A refusal as it goes over the wire. */
export interface Problem {
  readonly status: number;
  readonly body: { readonly code: ErrorCode; readonly message: string; readonly hint: string };
}

/**
 * 4xx: the client must ask for something else. 5xx: the same request may succeed later. A code that is not listed is
 * 500.
 */
const STATUS: Partial<Record<ErrorCode, number>> = {
  ERR_USAGE: 400,
  ERR_ADDRESSES: 400,
  ERR_CONFIG_INVALID: 400,
  ERR_DNS_ZONE: 400,
  ERR_FORWARD_INVALID: 400,
  ERR_CONTROL_REQUEST: 400,
  ERR_CONTROL_TOKEN: 401,
  ERR_CONTROL_HOST: 403,
  ERR_PORT_DENIED: 403,
  ERR_HELPER_DENIED: 403,
  ERR_CONTROL_NOT_FOUND: 404,
  ERR_FORWARD_NOT_FOUND: 404,
  ERR_CONTROL_METHOD: 405,
  ERR_PORT_IN_USE: 409,
  ERR_PORT_ADDRESS: 409,
  ERR_FORWARD_EXISTS: 409,
  ERR_CONTROL_TOO_LARGE: 413,
  ERR_CONTROL_MEDIA_TYPE: 415,
  ERR_GUEST_REFUSED: 502,
  ERR_GUEST_UNREACHABLE: 502,
  ERR_GUEST_TIMEOUT: 504,
  ERR_CONTROL_BUSY: 503,
  ERR_HELPER_UNAVAILABLE: 503,
  ERR_NETWORK_THREAD: 503,
  ERR_PORT_LIMIT: 507,
  ERR_FORWARD_NOT_KEPT: 507,
  ERR_FORWARD_STAYS: 507,
};

const SEE = 'docs/api.md and /openapi.json say what each path takes.';

/** Any failure as an answer. Never throws. */
export function problemOf(error: unknown): Problem {
  const known = error instanceof SlipwayError ? error : fromFramework(error);
  const { code, message, hint } = known;
  return { status: STATUS[code] ?? 500, body: { code, message, hint } };
}

/** fastify's own errors carry a status and a code; every other error is a defect. */
function fromFramework(error: unknown): SlipwayError {
  const {
    statusCode = 500,
    message = '',
    code = '',
  } = (error ?? {}) as {
    readonly statusCode?: number;
    readonly message?: string;
    readonly code?: string;
  };
  if (statusCode === 413) return new SlipwayError('ERR_CONTROL_TOO_LARGE', 'the body is too large', SEE);
  if (statusCode === 415) {
    const hint = 'Send "Content-Type: application/json".';
    return new SlipwayError('ERR_CONTROL_MEDIA_TYPE', 'the body is not JSON, as its Content-Type says', hint);
  }
  if (statusCode === 400 && /JSON/.test(code)) {
    return new SlipwayError('ERR_CONTROL_REQUEST', `the body is not valid JSON: ${message}`, SEE);
  }
  if (statusCode >= 400 && statusCode < 500) return new SlipwayError('ERR_CONTROL_REQUEST', message, SEE);
  return new SlipwayError('ERR_CONTROL_DEFECT', 'the control API failed', 'Please report it with the log.');
}

export function invalidRequest(message: string): SlipwayError {
  return new SlipwayError('ERR_CONTROL_REQUEST', message, SEE);
}

export function notFound(message: string, hint: string = SEE): SlipwayError {
  return new SlipwayError('ERR_CONTROL_NOT_FOUND', message, hint);
}

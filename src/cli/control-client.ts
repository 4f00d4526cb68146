import { type IncomingMessage, request } from 'node:http';
import type { ProblemJson } from '../api/v1/contract.ts';
import { controlSocket } from '../config/control.ts';
import { ERRORS, SlipwayError } from '../facts/errors.ts';
import { TOKEN_VARIABLE, usualControlSocket } from './control-place.ts';
import { absolute, parsedFlag } from './options.ts';

/** What the commands that ask a daemon have. */
export interface ControlFlags {
  readonly control?: string;
}

/** A daemon that computes for long answers by then, or not at all. */
const ANSWER_MS = 60_000;

/** Asks a running daemon over its control socket. */
export class ControlClient {
  readonly socketPath: string;
  readonly #token: string | undefined;

  constructor(socketPath: string, token: string | undefined = process.env[TOKEN_VARIABLE]) {
    this.socketPath = socketPath;
    this.#token = token;
  }

  /** Rejects with ERR_CONTROL_UNREACHABLE, or with what the daemon said. `undefined` is the answer without a body. */
  async ask<T>(method: 'GET' | 'POST' | 'DELETE', target: string, body?: object): Promise<T> {
    const { status, text } = await this.#exchange(
      method,
      target,
      body === undefined ? undefined : JSON.stringify(body),
    );
    const answer: unknown = text === '' ? undefined : parsed(text);
    if (status >= 200 && status < 300) return answer as T;
    const { code, message, hint } = (answer ?? {}) as Partial<ProblemJson>;
    if (code === undefined || !(code in ERRORS)) {
      throw new SlipwayError('ERR_CONTROL_DEFECT', message ?? `the daemon answered with HTTP status ${status}`, hint);
    }
    throw new SlipwayError(code, message ?? '', code === 'ERR_CONTROL_TOKEN' ? TOKEN_HINT : hint);
  }

  #exchange(method: string, target: string, body: string | undefined): Promise<{ status: number; text: string }> {
    const headers = {
      host: 'slipway',
      ...(body !== undefined && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
      ...(this.#token !== undefined && { authorization: `Bearer ${this.#token}` }),
    };
    return new Promise((resolve, reject) => {
      const options = { socketPath: this.socketPath, method, path: target, headers, timeout: ANSWER_MS };
      const asked = request(options, (response: IncomingMessage) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (part: string) => {
          text += part;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
      });
      asked.on('timeout', () => asked.destroy(new Error(`no answer within ${ANSWER_MS / 1000} s`)));
      asked.on('error', (cause) => reject(unreachable(this.socketPath, cause)));
      asked.end(body);
    });
  }
}

const TOKEN_HINT = `Set ${TOKEN_VARIABLE} to the token that slipway run was given or printed.`;

function unreachable(socketPath: string, cause: NodeJS.ErrnoException): SlipwayError {
  const why =
    cause.code === 'ENOENT' || cause.code === 'ECONNREFUSED'
      ? 'no slipway is running there'
      : cause.message || cause.code;
  return new SlipwayError(
    'ERR_CONTROL_UNREACHABLE',
    `nobody answers at the control socket ${socketPath}: ${why}`,
    'Start a daemon (slipway up --listen URL), or say where its socket is (--control PATH).',
    { cause },
  );
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The daemon that the flags mean: the one of this user unless told. Throws ERR_USAGE. */
export function controlClient(flags: ControlFlags): ControlClient {
  return new ControlClient(flags.control === undefined ? usualControlSocket() : controlPath(flags.control));
}

/** A flag's path, from wherever it is said. */
function controlPath(text: string): string {
  return parsedFlag('--control', absolute(text), controlSocket);
}

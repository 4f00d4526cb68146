import { SlipwayError } from '../facts/errors.ts';

/** The entry in an engine's table for an attachment that it cannot make. */
export class EngineLack {
  readonly #why: string;
  readonly #hint: string;

  /** `why` begins with the engine: 'the portable engine has no …'; `hint` says what to do next. */
  constructor(why: string, hint: string) {
    this.#why = why;
    this.#hint = hint;
  }

  /** ERR_ENGINE_LACKS for the attachment at `address`. */
  error(address: string): SlipwayError {
    return new SlipwayError('ERR_ENGINE_LACKS', `no guest can attach at ${address}: ${this.#why}`, this.#hint);
  }
}

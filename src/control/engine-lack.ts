import { SlipwayError } from '../facts/errors.ts';

/** Stands in an engine's table where it has no way to make an attachment. */
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

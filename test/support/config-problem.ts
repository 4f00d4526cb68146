import assert from 'node:assert/strict';
import { SlipwayError } from '../../src/facts/errors.ts';

/** What is said of a configuration that must not be accepted. */
export function configProblem(read: () => unknown): SlipwayError {
  try {
    read();
  } catch (error) {
    assert.ok(error instanceof SlipwayError, String(error));
    return error;
  }
  assert.fail('the configuration was accepted');
}

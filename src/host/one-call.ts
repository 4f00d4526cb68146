import { createRequire } from 'node:module';

/**
 * Sits in pause(2) for ever, for the tests of recovery: handlers of signals that happen to run on this thread do not
 * count.
 */
export function sitInOneCall(): never {
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
  const pause = koffi.load(null).func('int pause()') as () => number;
  for (;;) pause();
}

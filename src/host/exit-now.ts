import { createRequire } from 'node:module';

/**
 * Ends the process by _exit(2): no thread is waited for, nothing else is told. Returns where there is no such call
 * (Windows). Loads the FFI only now, because most processes never come here.
 */
export function exitNow(status: number): void {
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
    koffi.load(null).func('void _exit(int)')(status);
  } catch {
    // Nothing is lost but time.
  }
}
